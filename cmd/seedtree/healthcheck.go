package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// healthTimeout is how long an agent may take to say that it is well.
const healthTimeout = 5 * time.Second

func (a *app) healthcheckCommand() *cobra.Command {
	var ready bool
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask the agent on this machine whether it is well",
		Long: `Asks /healthz at web.listen. The agent answers that it is not well when its work
showed no sign of life for ten times catalog.timeout, at least ten minutes. Exit code
0 is well; 1 is not well, or nobody answers.`,
		Example: `  seedtree healthcheck
  docker run --health-cmd "/seedtree healthcheck" …`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.healthcheck(cmd.Context(), ready) },
	}
	cmd.Flags().BoolVar(&ready, "ready", false, "ask /readyz: was a revision applied, and did a pass go well of late?")
	return cmd
}

func (a *app) healthcheck(ctx context.Context, ready bool) error {
	cfg, err := a.site()
	if err != nil {
		return err
	}
	if cfg.Web == "" {
		return withHint(errors.New("web.listen is not configured: the agent answers nobody"), "web: {listen: \"127.0.0.1:8080\"}")
	}
	path := "/healthz"
	if ready {
		path = "/readyz"
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+askAddress(cfg.Web)+path, nil)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy: it is on this machine
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("the agent does not answer: %w", err)
	}
	defer res.Body.Close()
	words, err := io.ReadAll(io.LimitReader(res.Body, 2000))
	if err != nil {
		return fmt.Errorf("the agent does not answer: %w", err)
	}
	said := shown(strings.TrimSpace(string(words)))
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the agent is not well: %s: %s", res.Status, said)
	}
	return a.emit(struct {
		Status string `json:"status"`
	}{said}, func(w io.Writer) { fmt.Fprintln(w, said) })
}

// askAddress is where to ask whoever listens on an address.
func askAddress(listen string) string {
	host, port, _ := net.SplitHostPort(listen) // checked with the configuration
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip != nil && ip.To4() == nil {
			host = "::1"
		}
	}
	return net.JoinHostPort(host, port)
}
