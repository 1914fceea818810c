# Build: the packages that constraints.txt pins, into one folder.
FROM python:3.11.14-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/alvh
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY topics topics
COPY processors processors
RUN /opt/alvh/bin/pip install -c constraints.txt .

# Run: that folder and nothing else, as a user without rights.
FROM python:3.11.14-slim-bookworm
LABEL org.opencontainers.image.title="alvh" org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin alvh \
    && install -d -o alvh -g alvh /var/lib/alvh
COPY --from=build /opt/alvh /opt/alvh
ENV PATH=/opt/alvh/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /var/lib/alvh
VOLUME /var/lib/alvh
EXPOSE 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ.get('ALVH_HTTP_PORT', '9464') + '/healthz', timeout=4)"]
ENTRYPOINT ["alvh"]
CMD ["run", "all"]
