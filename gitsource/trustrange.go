package gitsource

import (
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

const commitType = plumbing.CommitObject

// gather collects the range.
func (j *judgement) gather() error {
	stop := map[hash]bool{}
	for _, id := range j.anchors {
		stop[id] = true
	}
	commits, open, err := j.walk([]hash{j.head}, stop)
	if err != nil {
		return err
	}
	if open && len(j.anchors) > 0 {
		// Some way leads past the anchors. What they reach, it may reach too.
		old, _, err := j.walk(j.anchors, nil)
		if err != nil {
			return err
		}
		for id := range old {
			delete(commits, id)
		}
	}
	j.commits = commits
	return j.sort()
}

// walk reads commits and all before them, up to those where it shall stop. open
// reports whether some way may have led past one of those: at a merge, or to the
// beginning of history.
func (j *judgement) walk(from []hash, stop map[hash]bool) (commits map[hash]*commitObject, open bool, err error) {
	commits = map[hash]*commitObject{}
	for queue := append([]hash(nil), from...); len(queue) > 0; {
		id := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		if stop[id] || commits[id] != nil {
			continue
		}
		if err := j.ctx.Err(); err != nil {
			return nil, false, err
		}
		c, err := j.st.commit(id)
		if err != nil {
			return nil, false, err
		}
		c.message = "" // there may be a million
		commits[id] = c
		open = open || len(c.parents) != 1
		queue = append(queue, c.parents...)
	}
	return commits, open, nil
}

// sort puts parents before children, and dates every commit: no earlier than those
// before it. So whoever got hold of a key that has run out cannot date a commit back
// to when it was good, once the catalog has moved on.
func (j *judgement) sort() error {
	j.dates = make(map[hash]time.Time, len(j.commits))
	for stack := []hash{j.head}; len(stack) > 0; {
		id := stack[len(stack)-1]
		c := j.commits[id]
		if _, done := j.dates[id]; done || c == nil {
			stack = stack[:len(stack)-1]
			continue
		}
		date, ready := c.when, true
		for _, p := range c.parents {
			at, dated := j.dates[p]
			if !dated && j.commits[p] != nil {
				stack, ready = append(stack, p), false
				continue
			}
			if !dated {
				parent, err := j.st.commit(p)
				if err != nil {
					return err
				}
				if at = parent.when; p == j.tip && j.dated.After(at) {
					at = j.dated
				}
			}
			if at.After(date) {
				date = at
			}
		}
		if ready {
			j.dates[id] = date
			j.order = append(j.order, id)
			stack = stack[:len(stack)-1]
		}
	}
	return nil
}
