# One image for every process of the Procfile; which one it is says the command.
# `--target local` adds the emulator and the simulator that docker-compose.yml uses.

FROM python:3.11-slim-bookworm AS base
ENV PATH=/opt/huntaze/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

FROM base AS packages
WORKDIR /app
RUN python -m venv /opt/huntaze
COPY pyproject.toml requirements.lock ./
COPY deploy/production_lock.py deploy/
RUN python deploy/production_lock.py > /tmp/production.lock \
 && pip install --no-cache-dir --no-deps --require-hashes -r /tmp/production.lock
# The product itself stays where it lies: its templates, scripts and migrations are plain files.
COPY api/ api/
COPY cli/ cli/
COPY domain/ domain/
COPY infra/ infra/
COPY workers/ workers/
RUN python deploy/production_lock.py setuptools > /tmp/setuptools.lock \
 && pip install --no-cache-dir --no-deps --require-hashes -r /tmp/setuptools.lock \
 && pip install --no-cache-dir --no-deps --no-build-isolation --editable . \
 && python -m compileall -q /opt/huntaze/lib api cli domain infra workers \
 && pip uninstall --yes --quiet setuptools pip

FROM packages AS local-packages
RUN python -m venv --upgrade-deps /tmp/pip \
 && python deploy/production_lock.py local > /tmp/local.lock \
 && /tmp/pip/bin/pip --python /opt/huntaze/bin/python install --no-cache-dir --no-deps \
    --require-hashes -r /tmp/local.lock

FROM base AS running
# Who signs certificates of Amazon RDS: DATABASE_URL ends in
# ?sslmode=verify-full&sslrootcert=/etc/ssl/certs/rds.pem
ADD --chmod=0444 https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem /etc/ssl/certs/rds.pem
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin huntaze
WORKDIR /app
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
  CMD ["python", "-m", "cli.alive"]
CMD ["gunicorn", "--config", "python:api.gunicorn_conf", "api.app:create_app()"]

FROM running AS local
COPY --from=local-packages /opt/huntaze /opt/huntaze
COPY --from=local-packages /app /app

FROM running AS production
COPY --from=packages /opt/huntaze /opt/huntaze
COPY --from=packages /app /app
