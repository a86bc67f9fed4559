"""Reads torrents with libtorrent, checks the data below a folder, and prints
what it thinks of each as one line of JSON. It talks to nobody."""
import json
import sys

import libtorrent as lt

session = lt.session({
    "listen_interfaces": "",
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "alert_mask": lt.alert.category_t.status_notification | lt.alert.category_t.error_notification,
})
waiting = {}
for name in sys.argv[2:]:
    params = lt.add_torrent_params()
    params.ti = lt.torrent_info(name)
    params.save_path = sys.argv[1]
    params.trackers = []
    # Not paused, so that it checks at once; it stops before it would transfer.
    params.flags = lt.torrent_flags.stop_when_ready
    handle = session.add_torrent(params)
    waiting[str(handle.info_hash())] = name

while waiting:
    if not session.wait_for_alert(60_000):
        sys.exit("libtorrent says nothing more about %s" % sorted(waiting.values()))
    for alert in session.pop_alerts():
        if isinstance(alert, lt.torrent_error_alert):
            sys.exit(alert.message())
        if not isinstance(alert, lt.torrent_checked_alert):
            continue
        handle, info = alert.handle, alert.handle.torrent_file()
        name = waiting.pop(str(handle.info_hash()), None)
        if name is None:
            continue
        files = info.files()
        pieces = handle.status().pieces
        print(json.dumps({
            "torrent": name,
            "hash": str(handle.info_hash()),
            "name": info.name(),
            "files": [{"path": files.file_path(i), "length": files.file_size(i)} for i in range(files.num_files())],
            "have": sum(info.piece_size(i) for i, there in enumerate(pieces) if there),
        }), flush=True)
