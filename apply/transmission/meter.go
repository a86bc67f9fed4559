package transmission

import (
	"context"
	"sync"

	transmissionrpc "github.com/hekmon/transmissionrpc/v2"

	"seedtree/apply"
)

// meter sums what our torrents have moved. The daemon counts per torrent, the
// counts of a removed torrent are gone, and after a crash they may be smaller
// than before: so increases are summed as they are seen.
type meter struct {
	mu    sync.Mutex
	last  map[string]apply.Traffic
	total apply.Traffic
}

// begun reports whether there is a first reading to count from.
func (m *meter) begun() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last != nil
}

func (m *meter) observe(ours []transmissionrpc.Torrent) {
	m.mu.Lock()
	defer m.mu.Unlock()
	first := m.last == nil
	next := make(map[string]apply.Traffic, len(ours))
	for i := range ours {
		h := value(ours[i].HashString)
		now := apply.Traffic{Downloaded: value(ours[i].DownloadedEver), Uploaded: value(ours[i].UploadedEver)}
		if !first { // what was moved before we came is not ours to count
			m.total.Downloaded += max(0, now.Downloaded-m.last[h].Downloaded)
			m.total.Uploaded += max(0, now.Uploaded-m.last[h].Uploaded)
		}
		next[h] = now
	}
	m.last = next
}

// Traffic returns payload bytes of our torrents since the first contact.
func (e *Engine) Traffic(ctx context.Context) (apply.Traffic, error) {
	if _, err := e.ours(ctx); err != nil {
		return apply.Traffic{}, err
	}
	e.meter.mu.Lock()
	defer e.meter.mu.Unlock()
	return e.meter.total, nil
}
