# The image smartercl/mcp-server: the gateway's binary on a slim Debian, as a user without a name, on a root that may be read-only.
#
#   docker build -t smartercl/mcp-server .
#
# Both base images are arguments, so that it can be built where no registry is reached (scripts/test-real-image.sh does). The one that
# builds needs Rust, a C compiler and ca-certificates; the one that runs needs the same glibc, and neither a shell nor packages.
ARG BUILD_IMAGE=rust:1.95-slim-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-slim

FROM ${BUILD_IMAGE} AS chef
WORKDIR /build
# One that brings cargo-chef is taken as it is.
RUN command -v cargo-chef >/dev/null || cargo install cargo-chef --version 0.1.77 --locked

FROM chef AS plan
COPY . .
RUN cargo chef prepare --recipe-path recipe.json

FROM chef AS build
# The dependencies alone: this layer lasts until Cargo.lock changes.
COPY --from=plan /build/recipe.json recipe.json
RUN cargo chef cook --locked --release --bin smartermcp --recipe-path recipe.json
COPY . .
# Names of functions stay for backtraces; lines go, and with them most of the file. The certificates are the authorities that
# backends' own are checked by.
RUN cargo build --locked --release --bin smartermcp \
    && install -D target/release/smartermcp /image/usr/local/bin/smartermcp \
    && strip --strip-debug /image/usr/local/bin/smartermcp \
    && install -D -m 644 /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ca-certificates.crt
# A folder that COPY makes is open to all; one that it finds below what it copies keeps its mode.
RUN install -d -m 700 /data /data/smartermcp

FROM ${RUNTIME_IMAGE}
ARG VERSION=1.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="SmarterMCP" \
      org.opencontainers.image.description="The multi-tenant MCP gateway of SmarterOS" \
      org.opencontainers.image.vendor="SmarterOS" \
      org.opencontainers.image.source="https://github.com/SmarterCL/smartermcp-server" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /image/ /
COPY --from=build --chown=10001:10001 /data/ /var/lib/
# Within a container only the published port leads here.
ENV SMARTERMCP_LISTEN=0.0.0.0:8080 \
    SMARTERMCP_DATA_DIR=/var/lib/smartermcp
USER 10001:10001
WORKDIR /var/lib/smartermcp
VOLUME /var/lib/smartermcp
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 CMD ["/usr/local/bin/smartermcp", "health"]
ENTRYPOINT ["/usr/local/bin/smartermcp"]
CMD ["serve"]
