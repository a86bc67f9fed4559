package pieces

import "sync/atomic"

// meter counts how many lanes were busy in the steps of a kernel, a block of
// each lane being a step.
type meter struct {
	kernel
	busy, steps *atomic.Int64
}

// metered makes p measure its kernels; lanes per step is what it returns.
func metered(p *Pool) func() float64 {
	newKernel := p.newKernel
	var busy, steps atomic.Int64
	p.newKernel = func() kernel { return &meter{newKernel(), &busy, &steps} }
	return func() float64 { return float64(busy.Load()) / float64(max(1, steps.Load())) }
}

func (m *meter) write(chunks [][]byte) {
	before := make([]int, len(chunks))
	for i, c := range chunks {
		before[i] = len(c)
	}
	m.kernel.write(chunks)
	longest := 0
	for i, c := range chunks {
		n := before[i] - len(c)
		m.busy.Add(int64(n))
		longest = max(longest, n)
	}
	m.steps.Add(int64(longest))
}
