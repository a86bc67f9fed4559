package main

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/lmittmann/tint"
)

// parseLevel reads a --log-level; "" leaves the choice to the verb.
func parseLevel(s string) (slog.Level, error) {
	switch s {
	case "":
		return slog.LevelWarn, nil
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("--log-level %q: want debug, info, warn or error", s)
}

// besideBar writes lines to a terminal where a progress line may be drawn: that
// makes room first, and is drawn anew below.
type besideBar struct{ app *app }

// Write writes whole lines.
func (w besideBar) Write(lines []byte) (int, error) {
	if bar := w.app.bar.Load(); bar != nil {
		bar.mu.Lock()
		defer bar.mu.Unlock()
		bar.erase()
	}
	return w.app.std.err.Write(lines)
}

// logger writes to standard error: coloured lines on a terminal, key=value
// text for machines otherwise.
func (a *app) logger(usual slog.Level) *slog.Logger {
	level := usual
	if a.logLevel != "" {
		level, _ = parseLevel(a.logLevel) // prepare has checked it
	}
	if a.isTerminal(a.std.err) {
		return slog.New(tint.NewTextHandler(besideBar{a}, &tint.Options{
			Level: level, TimeFormat: time.TimeOnly, NoColor: a.getenv("NO_COLOR") != "",
		}))
	}
	return slog.New(slog.NewTextHandler(a.std.err, &slog.HandlerOptions{Level: level}))
}
