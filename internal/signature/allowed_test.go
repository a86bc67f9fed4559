package signature

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Lines as people write them, judged by us and by the real ssh-keygen alike.
func TestAllowedAsOpenSSH(t *testing.T) {
	key, other := sshKeyFile(t, "-t", "ed25519"), sshKeyFile(t, "-t", "ed25519")
	mine, theirs := public(t, key), public(t, other)
	now := time.Now().Truncate(time.Second)
	day := 24 * time.Hour
	sig := signed(t, privKey(t, key, ""), text, now)
	sigFile := write(t, "sig", string(sig))
	for _, c := range []struct {
		line string
		want bool
	}{
		{"admin:ada " + mine, true},
		{"  \tadmin:ada\t" + mine + " a comment", true},
		{"site:oslo,admin:ada " + mine, true},
		{`"admin:ada" ` + mine, true},
		{"admin:a* " + mine, true},
		{"admin:a?a " + mine, true},
		{"admin:?? " + mine, false},
		{"admin:*,!admin:ada " + mine, false},
		{"admin:eve " + mine, false},
		{"admin:ada " + theirs, false},
		{"# admin:ada " + mine, false},
		{"admin:ada " + theirs + "\nadmin:ada " + mine, true},
		{`admin:ada namespaces="git" ` + mine, true},
		{`admin:ada namespaces="file" ` + mine, false},
		{`admin:ada namespaces="file,g*" ` + mine, true},
		{`admin:ada namespaces="*,!git" ` + mine, false},
		{`admin:ada NameSpaces="git",valid-after="20000101" ` + mine, true},
		{fmt.Sprintf(`admin:ada valid-after="%s" %s`, stamp(now), mine), true},
		{fmt.Sprintf(`admin:ada valid-after="%s" %s`, stamp(now.Add(time.Second)), mine), false},
		{fmt.Sprintf(`admin:ada valid-before="%s" %s`, stamp(now), mine), true},
		{fmt.Sprintf(`admin:ada valid-before="%s" %s`, stamp(now.Add(-time.Second)), mine), false},
		{fmt.Sprintf(`admin:ada valid-before="%s" %s`, now.Add(-day).Format("20060102"), mine), false},
		{fmt.Sprintf(`admin:ada valid-after="%s",valid-before="%s" %s`, now.Add(-day).Format("20060102"), now.Add(2*day).Format("200601021504"), mine), true},
		{`admin:ada valid-before="yesterday" ` + mine, false},
		{`admin:ada valid-before=20300101 ` + mine, false},
		{`admin:ada namespaces="git",namespaces="git" ` + mine, false},
		{`admin:ada no-such-option ` + mine, false},
		{`admin:ada namespaces="git ` + mine, false},
		{"admin:ada ssh-ed25519 AAAA", false},
		{"admin:ada", false},
		{mine, false},
	} {
		ours := false
		if a, err := ParseAllowed([]byte(c.line+"\n"), os.ReadFile); err == nil {
			s, err := a.Verify([]byte(text), sig, now)
			ours = err == nil && s.Acts("admin:ada")
		}
		// ssh-keygen of Debian 12 knows no Z in -Overify-time; without, it is local time.
		_, err := try(t, []byte(text), "ssh-keygen", "-Y", "verify", "-n", "git", "-I", "admin:ada", "-Overify-time="+now.Local().Format("20060102150405"),
			"-f", write(t, filepath.Join(filepath.Dir(sigFile), "allowed"), c.line+"\n"), "-s", sigFile)
		if real := err == nil; ours != c.want || real != c.want {
			t.Errorf("%s\nwe say %v, ssh-keygen says %v, want %v", c.line, ours, real, c.want)
		}
	}
}

func TestAllowedRefused(t *testing.T) {
	mine := public(t, sshKeyFile(t, "-t", "ed25519"))
	for text, want := range map[string]string{
		"":                                         "lists nobody",
		"\n# admin:ada\n":                          "lists nobody",
		"admin:ada " + mine + "\nadmin:eve":        "line 2",
		"admin:ada cert-authority " + mine:         "cert-authority",
		"admin:ada,, " + mine:                      "empty principal",
		"admin:ada openpgp":                        "names no key file",
		"admin:ada openpgp /nowhere.asc":           "no such file",
		`admin:ada namespaces="git" openpgp x`:     "no namespaces",
		"admin:ada ssh-rsa " + mine:                "no key",
		"admin:ada ssh-ed25519-cert-v01@x " + mine: "no key",
		`admin:ada valid-after="20300101",valid-before="20200101" ` + mine: "not after",
		strings.Repeat("#", maxAllowed+1):                                  "at most",
	} {
		if _, err := ParseAllowed([]byte(text), os.ReadFile); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %q", text, err, want)
		}
	}
}

// Roles: what a principal's pattern gives, and what it only seems to.
func TestActs(t *testing.T) {
	for _, c := range []struct {
		principals, name string
		want             bool
	}{
		{"site:oslo", "site:oslo", true},
		{"site:oslo", "site:oslo2", false},
		{"site:oslo", "admin:x", false},
		{"site:*", "site:lima", true},
		{"site:*,!site:lima", "site:lima", false},
		{"*", "site:lima", false},
		{"*:lima", "site:lima", false},
		{"s*", "site:lima", false},
		{"ada@example.org", "site:lima", false},
		{"site:o***************************************x", "site:oooooooooooooooooooooooooooooooooooooooooooo", false},
	} {
		if got := (Signer{Principals: strings.Split(c.principals, ",")}).Acts(c.name); got != c.want {
			t.Errorf("%s acts as %s: %v", c.principals, c.name, got)
		}
	}
}

func FuzzAllowed(f *testing.F) {
	f.Add(`"admin:ada" namespaces="git",valid-after="20200101Z" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINNwMHM8lLcve+HMdKmjaanRnkdOE0Sm3ZUxkjv5LTgg x`)
	f.Add("site:* openpgp a.asc\n# c\n\n")
	f.Add(`a namespaces="\"` + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseAllowed([]byte(text), func(string) ([]byte, error) { return []byte(text), nil })
		if (a == nil) == (err == nil) {
			t.Fatal(a, err)
		}
		if err == nil && len(a.entries) == 0 {
			t.Fatal("nobody is listed, and no error")
		}
	})
}

// Whatever stands where a signature should be: no panic, and nobody's.
func FuzzVerify(f *testing.F) {
	a, err := ParseAllowed([]byte("admin:ada ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINNwMHM8lLcve+HMdKmjaanRnkdOE0Sm3ZUxkjv5LTgg\n"), os.ReadFile)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("-----BEGIN SSH SIGNATURE-----\nU1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAg\n-----END SSH SIGNATURE-----\n")
	f.Add("-----BEGIN PGP SIGNATURE-----\n\niHUEABYIAB0WIQ==\n=aaaa\n-----END PGP SIGNATURE-----\n")
	f.Fuzz(func(t *testing.T, armored string) {
		if s, err := a.Verify([]byte("x"), []byte(armored), someday); err == nil || len(s.Principals) > 0 {
			t.Fatal(s, err)
		}
	})
}
