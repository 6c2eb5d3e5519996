"""What script/server and script/test call. install.py runs on any bare Python; the rest runs inside .venv."""
