package signature

import (
	"os"
	"strings"
	"testing"
	"time"
)

// What gpg signs we verify, what we sign gpg verifies; with subkeys as well.
func TestOpenPGPBothWays(t *testing.T) {
	for _, algo := range []string{"ed25519", "rsa3072", "nistp256"} {
		t.Run(algo, func(t *testing.T) {
			g := newGnupg(t)
			g.key(t, algo, "sign,cert", "never")
			if algo == "ed25519" {
				fpr := strings.Split(g.run(t, "", "--with-colons", "--list-keys"), "fpr:::::::::")[1][:40]
				g.run(t, "", "--passphrase", "", "--quick-add-key", fpr, "ed25519", "sign", "never")
			}
			a := allowed(t, "admin:ada openpgp "+g.export(t))
			at := time.Now()
			s, err := a.Verify([]byte(text), g.sign(t, text), at)
			wants(t, s, err, "admin:ada", nil)
			s, err = a.Verify([]byte(text+"x"), g.sign(t, text), at)
			wants(t, s, err, "", ErrMismatch)

			secret := write(t, "secret.asc", g.run(t, "", "--armor", "--export-secret-keys"))
			ours := signed(t, privKey(t, secret, ""), text, at)
			s, err = a.Verify([]byte(text), ours, at)
			wants(t, s, err, "admin:ada", nil)
			g.run(t, text, "--verify", write(t, "sig.asc", string(ours)), "-")

			s, err = allowed(t, "admin:eve openpgp "+newGnupg(t).key(t, "ed25519", "sign", "never")).Verify([]byte(text), ours, at)
			wants(t, s, err, "", ErrUnknownKey)
			if !strings.HasPrefix(s.Key, "OpenPGP:") {
				t.Errorf("the signer is %q", s.Key)
			}
		})
	}
}

func TestOpenPGPPassphrase(t *testing.T) {
	g := newGnupg(t)
	g.run(t, "", "--passphrase", "open sesame", "--quick-generate-key", "Ada <ada@example.org>", "ed25519", "sign", "never")
	secret := g.run(t, "", "--passphrase", "open sesame", "--armor", "--export-secret-keys")
	if _, err := ParseKey([]byte(secret), []byte("open sesame")); err != nil {
		t.Error(err)
	}
	for _, pass := range []string{"", "wrong"} {
		if _, err := ParseKey([]byte(secret), []byte(pass)); err == nil {
			t.Errorf("opened with %q", pass)
		}
	}
	if _, err := ParseKey([]byte(g.run(t, "", "--armor", "--export")), nil); err == nil || !strings.Contains(err.Error(), "public") {
		t.Errorf("signs with a public key: %v", err)
	}
}

// A key that ran out signs nothing new, whatever date its holder writes into the
// signature: the commit's own time counts, which gitsource lets only grow.
func TestOpenPGPExpired(t *testing.T) {
	g := newGnupg(t)
	made := time.Now().Add(-240 * time.Hour).Truncate(time.Second)
	file := g.key(t, "ed25519", "sign,cert", "2d", "--faked-system-time", made.UTC().Format("20060102T150405"))
	a := allowed(t, "admin:ada openpgp "+file)
	backdated := g.sign(t, text, "--faked-system-time", made.Add(time.Hour).UTC().Format("20060102T150405"))
	s, err := a.Verify([]byte(text), backdated, made.Add(2*time.Hour))
	wants(t, s, err, "admin:ada", nil)
	s, err = a.Verify([]byte(text), backdated, time.Now())
	wants(t, s, err, "", ErrNotValidThen)
	s, err = a.Verify([]byte(text), backdated, made.Add(-time.Hour)) // gpg signed an hour after git's date
	wants(t, s, err, "admin:ada", nil)
	// The list's own dates hold for both moments as well.
	limited := allowed(t, `admin:ada valid-before="`+stamp(made.Add(time.Minute))+`" openpgp `+file)
	s, err = limited.Verify([]byte(text), backdated, made)
	wants(t, s, err, "", ErrNotValidThen)
}

// A revoked key: at once if it was compromised, from its date on if it was only replaced.
func TestOpenPGPRevoked(t *testing.T) {
	for reason, valid := range map[string]bool{"1": false, "3": true} {
		g := newGnupg(t)
		made := time.Now().Add(-240 * time.Hour).Truncate(time.Second)
		g.key(t, "ed25519", "sign,cert", "never", "--faked-system-time", made.UTC().Format("20060102T150405"))
		old := g.sign(t, text, "--faked-system-time", made.Add(time.Hour).UTC().Format("20060102T150405"))
		fpr := strings.Split(g.run(t, "", "--with-colons", "--list-keys"), "fpr:::::::::")[1][:40]
		revocation := run(t, []byte("y\n"+reason+"\n\ny\n"), "gpg", "--homedir", g.home, "--command-fd", "0", "--quiet", "--no-tty", "--status-fd", "2",
			"--pinentry-mode", "loopback", "--passphrase", "", "--armor", "--output", g.home+"/rev", "--gen-revoke", fpr)
		_ = revocation
		g.run(t, "", "--import", g.home+"/rev")
		a := allowed(t, "admin:ada openpgp "+g.export(t))
		s, err := a.Verify([]byte(text), old, made.Add(2*time.Hour))
		if valid {
			wants(t, s, err, "admin:ada", nil)
		} else {
			wants(t, s, err, "", ErrNotValidThen)
		}
		s, err = a.Verify([]byte(text), old, time.Now())
		wants(t, s, err, "", ErrNotValidThen)
	}
}

// Two signatures in one armour, a key instead of a signature, a text signature.
func TestOpenPGPRefused(t *testing.T) {
	g := newGnupg(t)
	file := g.key(t, "ed25519", "sign,cert", "never")
	a := allowed(t, "admin:ada openpgp "+file)
	one := g.home + "/one.sig"
	g.run(t, text, "--detach-sign", "-o", one)
	two := g.run(t, read(t, one)+read(t, one), "--enarmor")
	two = strings.ReplaceAll(two, "PGP ARMORED FILE", "PGP SIGNATURE")
	asKey := strings.ReplaceAll(read(t, file), "PUBLIC KEY BLOCK", "SIGNATURE")
	for name, armored := range map[string]string{
		"two": two, "key": asKey, "text": string(g.sign(t, text, "--textmode")), "twice": string(g.sign(t, text)) + string(g.sign(t, text)),
	} {
		s, err := a.Verify([]byte(text), []byte(armored), time.Now())
		wants(t, s, err, "", ErrMalformed)
		if err == nil {
			t.Error(name)
		}
	}
	// Two keys in a file: which of them is meant?
	both := write(t, "both.asc", read(t, file)+read(t, newGnupg(t).key(t, "ed25519", "sign", "never")))
	if _, err := ParseAllowed([]byte("admin:ada openpgp "+both), os.ReadFile); err == nil {
		t.Error("two keys in one file")
	}
}
