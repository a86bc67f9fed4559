# Built by `make image`, which puts the static binary beside this file.
# The binary brings time zones and root certificates along.
FROM scratch
COPY seedtree /seedtree
VOLUME ["/var/lib/seedtree"]
EXPOSE 42069 6969
ENTRYPOINT ["/seedtree"]
CMD ["agent"]
