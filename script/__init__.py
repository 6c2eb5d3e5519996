"""The commands of this folder. install.py runs on any bare Python; the rest runs inside .venv."""
