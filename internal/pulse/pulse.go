// Package pulse lets work that may take long say that it gets on: whoever watches
// puts a function into the context, and the work calls it at each step.
package pulse

import "context"

type key struct{}

// With returns a context whose work calls beat at each step, from any goroutine.
func With(ctx context.Context, beat func()) context.Context {
	return context.WithValue(ctx, key{}, beat)
}

// Of returns the function to call at each step; it does nothing when nobody watches.
func Of(ctx context.Context) func() {
	if beat, ok := ctx.Value(key{}).(func()); ok {
		return beat
	}
	return func() {}
}
