# hopla's image: `docker build --tag hopla .` builds the one for web, worker and release, `--target sandbox` the stand-in
# for Cloudinary. It runs as any user, and on a read-only root file system with a tmpfs at /tmp.

FROM python:3.13-slim AS build
WORKDIR /hopla
COPY requirements.lock ./
# Only wheels, by the hashes of the lock: no compiler is needed, here or later.
RUN python -m venv --without-pip /venv \
    && pip --python /venv/bin/python install --no-cache-dir --no-compile --only-binary :all: --require-hashes \
    --requirement requirements.lock
COPY . ./
# The settings need all required variables; nothing connects to these servers.
RUN DEBUG=off SECRET_KEY=of-the-build ALLOWED_HOSTS=localhost DATABASE_URL=postgres://nobody@localhost/none \
    REDIS_URL=redis://localhost CLOUDINARY_URL=cloudinary://key:secret@cloud \
    /venv/bin/python manage.py collectstatic --no-input --verbosity=0 \
    && /venv/bin/python -m compileall -q -j 0 /venv apps hopla

FROM python:3.13-slim AS hopla
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 MALLOC_ARENA_MAX=2 DEBUG=off PORT=8000
WORKDIR /hopla
COPY --from=build /venv /venv
COPY --from=build /hopla ./
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['PORT']}/healthz\", timeout=4)"]
CMD ["gunicorn", "--config", "hopla/gunicorn_conf.py", "hopla.wsgi"]

FROM build AS sandbox-build
RUN grep --extended-regexp '^pillow(-heif)?==' requirements-dev.txt > /tmp/pillow.txt \
    && pip --python /venv/bin/python install --no-cache-dir --only-binary :all: --requirement /tmp/pillow.txt

FROM hopla AS sandbox
ENV DEBUG=on
COPY --from=sandbox-build /venv /venv
EXPOSE 8089
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8089/_sandbox/requests', timeout=4)"]
CMD ["python", "manage.py", "sandbox", "--host=0.0.0.0", "--port=8089"]

# The default target.
FROM hopla
