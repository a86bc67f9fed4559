// Package pulse lets work that may take long say that it gets on: whoever watches
// puts a function into the context, and the work calls it at each step. A sign of life
// costs the agent some 60 ns, so one for each file, object or chunk is cheap. What only
// waits gives none, or nobody would ever learn that it waits in vain.
package pulse

import "context"

type key struct{}

// With returns a context whose work calls beat at each step, from any goroutine. The
// name says what is being done from then on; "" is more of the same.
func With(ctx context.Context, beat func(name string)) context.Context {
	return context.WithValue(ctx, key{}, beat)
}

// Unseen returns a context whose work is watched by nobody: it goes on beside what is,
// or asks again and again whether something has happened yet.
func Unseen(ctx context.Context) context.Context {
	return With(ctx, func(string) {})
}

// Of returns the function to call at each step; it does nothing when nobody watches.
func Of(ctx context.Context) func() {
	if beat, ok := ctx.Value(key{}).(func(string)); ok {
		return func() { beat("") }
	}
	return func() {}
}

// Step says what is being done from here on, which is a sign of life as well.
func Step(ctx context.Context, name string) {
	if beat, ok := ctx.Value(key{}).(func(string)); ok {
		beat(name)
	}
}
