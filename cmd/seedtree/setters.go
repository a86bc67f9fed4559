package main

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"seedtree/gitsource"
	"seedtree/internal/agent"
	"seedtree/manifests"
)

func (c *Config) setSignatures(v string) (err error) {
	c.Catalog.Trust.Signatures, err = gitsource.ParseSignatures(v)
	return err
}

// validCommitID wants an id that means the same commit for ever.
func validCommitID(v string) error {
	if len(v) != 40 || strings.Trim(v, "0123456789abcdef") != "" {
		return fmt.Errorf("%q: want a full commit id, 40 hexadecimal digits (git rev-parse)", v)
	}
	return nil
}

func (c *Config) setTrees(trees map[string]string) error {
	for name, dir := range trees {
		if err := manifests.ValidTreeName(name); err != nil {
			return err
		}
		if !filepath.IsAbs(dir) {
			return fmt.Errorf("tree %s: %q: want an absolute path", name, dir)
		}
	}
	c.Trees = trees
	return nil
}

func (c *Config) setPaths(paths map[string]string) error {
	for here, there := range paths {
		if !filepath.IsAbs(here) || there == "" {
			return fmt.Errorf("%s: %s: want absolute paths", here, there)
		}
	}
	c.Engine.Transmission.Paths = paths
	return nil
}

func (c *Config) setURLs(urls []string) error {
	for _, u := range urls {
		if u == "" {
			return fmt.Errorf("an empty URL")
		}
		if parsed, err := url.Parse(u); err == nil && parsed.User != nil {
			if _, secret := parsed.User.Password(); secret {
				return fmt.Errorf("%s holds a password; use catalog.https.passwordFile", parsed.Redacted())
			}
		}
		if !strings.Contains(u, ":") && !filepath.IsAbs(u) {
			return fmt.Errorf("%q: want a URL or an absolute path", u)
		}
	}
	c.Catalog.URLs = urls
	return nil
}

func (c *Config) setBuild(v string) error {
	if v == "never" {
		c.Schedule.Build = ""
		return nil
	}
	return text(&c.Schedule.Build, validSchedule)(v)
}

func validSchedule(v string) error {
	_, err := agent.ParseSchedule(v, nil)
	return err
}

func (c *Config) setZone(v string) error {
	loc, err := time.LoadLocation(v)
	if err != nil || v == "" {
		return fmt.Errorf("%q: no such time zone", v)
	}
	c.Schedule.Location = loc
	return nil
}

func (c *Config) setJitter(v string) error {
	number, ok := strings.CutSuffix(v, "%")
	f, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(f >= 0 && f <= 100) {
		return fmt.Errorf("%q: want a share such as 10%%", v)
	}
	c.Schedule.Jitter = f / 100
	return nil
}

func (c *Config) setManage(v string) error {
	b, err := strconv.ParseBool(v)
	if err != nil {
		return fmt.Errorf("%q: want true or false", v)
	}
	c.Engine.Transmission.ManageSettings = b
	return nil
}
