package gitsource

// consolidate merges the mirror's packs when they have become many.
func (s *Source) consolidate() error { return nil }
