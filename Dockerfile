# syntax=docker/dockerfile:1

FROM python:3.13-slim-trixie AS parts
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/relcoord
COPY requirements/base.txt /tmp/base.txt
RUN /opt/relcoord/bin/pip install --require-hashes -r /tmp/base.txt


FROM python:3.13-slim-trixie
ENV PATH=/opt/relcoord/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 VAR_DIR=/var/lib/relcoord HOST=0.0.0.0
RUN useradd --system --uid 10001 --home-dir /var/lib/relcoord --create-home relcoord
WORKDIR /app
COPY --from=parts /opt/relcoord /opt/relcoord
COPY . .
# A strict umask where the code was fetched may not close it to the user below. Collecting wants production's settings;
# none of these values stays in the image.
RUN chmod -R a+rX . && DATABASE_URL=postgresql://build/build REDIS_URL=redis://build SITE_URL=https://build.invalid ALLOWED_HOSTS=build \
    EMAIL_URL=smtp://build SECRET_KEY=for-the-build-alone-0123456789-abcdefghijklmnopqrstuvwxyz \
    python manage.py collectstatic --no-input --verbosity 0
USER 10001
EXPOSE 8000
# Pages, with a line a request by relcoord.access; docker-compose.yml starts the worker and the scheduler from the same image.
CMD ["gunicorn", "relcoord.wsgi", "--bind", "0.0.0.0:8000", "--workers", "2", "--threads", "8", \
     "--worker-tmp-dir", "/dev/shm", "--max-requests", "5000", "--max-requests-jitter", "500", \
     "--graceful-timeout", "20", "--no-control-socket", "--forwarded-allow-ips", "*"]
