# Built by `make image`, which puts the static binary beside this file.
# The binary brings time zones and root certificates along.
FROM scratch
LABEL org.opencontainers.image.title="seedtree" \
      org.opencontainers.image.description="Replicates file trees: git says what, BitTorrent moves it" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY seedtree /seedtree
# Empty folders anybody may write to: a fresh volume mounted there takes over
# their mode, so --user works with any number and nothing runs as root.
COPY mountpoints /
# Without a home, these make /etc/seedtree and /var/lib/seedtree the defaults of every user.
ENV XDG_CONFIG_HOME=/etc XDG_STATE_HOME=/var/lib
VOLUME ["/var/lib/seedtree"]
EXPOSE 42069 6969
USER 65532:65532
STOPSIGNAL SIGTERM
ENTRYPOINT ["/seedtree"]
CMD ["agent"]
