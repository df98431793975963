# One image for all of Mailsluice's and Prefect's own processes; the command says which
# (deployments/compose.yaml, deployments/kubernetes.yaml). It holds no secret: those come by the
# environment.
#
# BASE has Python 3.11 to 3.13 as `python`. Pin it by its digest for production:
#   docker build --build-arg BASE=python:3.12-slim@sha256:... .
# Settings that pip and uv need on the way to their index (PIP_..., UV_..., SSL_CERT_FILE) come as a
# file of shell assignments and leave no trace in the image:
#   docker build --secret id=packages,src=packages.env .
ARG BASE=python:3.12-slim

FROM ${BASE} AS build
WORKDIR /srv/mailsluice
RUN python -m venv /opt/venv
COPY requirements requirements
# In two steps: the dependencies stay as they are while only the code changes. Bytecode is made here:
# the user of the image cannot write it, and without it each process takes twice as long to start.
RUN --mount=type=secret,id=packages \
    set -a && if [ -e /run/secrets/packages ]; then . /run/secrets/packages; fi \
    && /opt/venv/bin/pip install --no-cache-dir --require-hashes --requirement requirements/uv.txt \
    && /opt/venv/bin/uv pip install --no-cache --compile-bytecode --python /opt/venv/bin/python \
       --require-hashes --requirement requirements/runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY mailsluice mailsluice
COPY blocks blocks
COPY tasks tasks
COPY flows flows
COPY deployments deployments
RUN /opt/venv/bin/uv pip install --no-cache --offline --python /opt/venv/bin/python \
       --no-deps --no-build-isolation --editable . \
    && /opt/venv/bin/python -m compileall -q . \
    && /opt/venv/bin/pip uninstall --quiet --yes uv

FROM ${BASE}
RUN useradd --uid 10001 --create-home --home-dir /var/lib/mailsluice --shell /usr/sbin/nologin mailsluice
RUN install --directory --owner 10001 --group 10001 /srv/lists /srv/exports /srv/metrics
COPY --from=build /opt/venv /opt/venv
COPY --from=build /srv/mailsluice /srv/mailsluice
# The code stays root's: a process cannot change what it runs. Runs start in the checkout, as
# prefect.yaml says; the UI's pages and Prefect's home are the user's.
WORKDIR /srv/mailsluice
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MAILSLUICE_CHECKOUT=/srv/mailsluice \
    MAILSLUICE_HOME=/var/lib/mailsluice/state \
    PREFECT_HOME=/var/lib/mailsluice/prefect \
    PREFECT_SERVER_UI_STATIC_DIRECTORY=/var/lib/mailsluice/ui
USER 10001:10001
# Whichever process it is: HEALTH_URL is where it answers (a worker's by default).
ENV HEALTH_URL=http://127.0.0.1:8080/health
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(os.environ['HEALTH_URL'], timeout=4)"]
CMD ["prefect", "worker", "start", "--pool", "mailsluice", "--with-healthcheck"]
