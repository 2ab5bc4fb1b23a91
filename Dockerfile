# The program, its dataflows and configs on Debian, for a user without rights. To build and run the flights example:
#
#   docker build -t tidemill .
#   openssl rand -hex 32 > admin
#   docker run --rm -p 127.0.0.1:8080:8080 -v "$PWD/admin:/run/secrets/admin:ro" tidemill run dataflows/flights.toml \
#       --set http.listen=0.0.0.0:8080 --set http.tokens.admin=file:/run/secrets/admin
#
# Without a token for moves of aliases, a run does not listen where others reach it.
# For another dataflow, mount its folder and name its file and config. State is in /var/lib/tidemill: keep it in a volume.

FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends build-essential && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# `--build-arg FEATURES=grpc` builds the program with gRPC.
ARG FEATURES=""
RUN cargo build --profile dist --locked --features "$FEATURES"

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --home-dir /var/lib/tidemill --create-home --shell /usr/sbin/nologin tidemill
COPY --from=build /src/target/dist/tidemill /usr/local/bin/tidemill
COPY dataflows /usr/share/tidemill/dataflows
COPY config /usr/share/tidemill/config
COPY data /usr/share/tidemill/data
WORKDIR /usr/share/tidemill
USER 10001
VOLUME /var/lib/tidemill
EXPOSE 8080
# `run` ends cleanly on SIGTERM, with a last checkpoint.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["bash", "-c", \
    "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /health/live HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3 && head -n 1 <&3 | grep -q ' 200 '"]
ENTRYPOINT ["tidemill", "--set", "data_dir=/var/lib/tidemill"]
CMD ["--help"]
