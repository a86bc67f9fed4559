package signature

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
)

const text = "tree 1\nauthor me\n\nHello\n"

// What we sign, the real ssh-keygen verifies; what it signs, we verify.
func TestSSHBothWays(t *testing.T) {
	for _, kind := range [][]string{
		{"-t", "ed25519"},
		{"-t", "rsa", "-b", "2048"},
		{"-t", "ecdsa", "-b", "256"},
		{"-t", "ecdsa", "-b", "521"},
		{"-t", "rsa", "-b", "3072", "-m", "PEM"},
	} {
		t.Run(strings.Join(kind, ""), func(t *testing.T) {
			key := sshKeyFile(t, kind...)
			line := "admin:ada " + public(t, key)
			a := allowed(t, line)

			k := privKey(t, key, "")
			ours := signed(t, k, text, someday)
			out, err := try(t, []byte(text), "ssh-keygen", "-Y", "verify", "-n", "git", "-I", "admin:ada",
				"-f", write(t, "allowed", line+"\n"), "-s", write(t, "sig", string(ours)))
			if err != nil {
				t.Errorf("ssh-keygen does not accept ours: %v\n%s", err, out)
			}
			s, err := a.Verify([]byte(text), ours, someday)
			wants(t, s, err, "admin:ada", nil)
			if s.Key != k.Fingerprint() {
				t.Errorf("signed by %s, verified as %s", k.Fingerprint(), s.Key)
			}

			run(t, nil, "ssh-keygen", "-Y", "sign", "-n", "git", "-f", key, write(t, filepath.Join(filepath.Dir(key), "m"), text))
			theirs := []byte(read(t, filepath.Join(filepath.Dir(key), "m.sig")))
			s, err = a.Verify([]byte(text), theirs, someday)
			wants(t, s, err, "admin:ada", nil)
			s, err = a.Verify([]byte(text+"x"), theirs, someday)
			wants(t, s, err, "", ErrMismatch)
			s, err = allowed(t, "admin:eve "+public(t, sshKeyFile(t, "-t", "ed25519"))).Verify([]byte(text), theirs, someday)
			wants(t, s, err, "", ErrUnknownKey)
		})
	}
}

func TestSSHPassphrase(t *testing.T) {
	key := sshKeyFile(t, "-t", "ed25519")
	run(t, nil, "ssh-keygen", "-q", "-p", "-f", key, "-P", "", "-N", "open sesame")
	privKey(t, key, "open sesame")
	for _, pass := range []string{"", "wrong"} {
		if _, err := ParseKey([]byte(read(t, key)), []byte(pass)); err == nil {
			t.Errorf("opened with %q", pass)
		}
	}
}

// A signature made for something else, by other means, or by too little of a key.
func TestSSHRefused(t *testing.T) {
	key := sshKeyFile(t, "-t", "ed25519")
	a := allowed(t, "admin:ada "+public(t, key))
	run(t, nil, "ssh-keygen", "-Y", "sign", "-n", "file", "-f", key, write(t, filepath.Join(filepath.Dir(key), "m"), text))
	s, err := a.Verify([]byte(text), []byte(read(t, filepath.Join(filepath.Dir(key), "m.sig"))), someday)
	wants(t, s, err, "", ErrMismatch)
	if err == nil || !strings.Contains(err.Error(), `"file"`) {
		t.Errorf("does not name the namespace: %v", err)
	}

	// RSA with SHA-1, as old programs made it.
	rsa, err := ssh.ParsePrivateKey([]byte(read(t, sshKeyFile(t, "-t", "rsa", "-b", "2048"))))
	if err != nil {
		t.Fatal(err)
	}
	sig, err := sshsig.Sign(strings.NewReader(text), rsa, sshsig.HashSHA512, Namespace)
	if err != nil {
		t.Fatal(err)
	}
	sig.Signature, err = rsa.(ssh.AlgorithmSigner).SignWithAlgorithm(rand.Reader, []byte("anything"), ssh.KeyAlgoRSA)
	if err != nil {
		t.Fatal(err)
	}
	byRSA := allowed(t, "admin:ada "+string(ssh.MarshalAuthorizedKey(rsa.PublicKey())))
	s, err = byRSA.Verify([]byte(text), sshsig.Armor(sig), someday)
	wants(t, s, err, "", ErrMalformed)

	short := sshKeyFile(t, "-t", "rsa", "-b", "1024")
	if _, err := ParseKey([]byte(read(t, short)), nil); err == nil {
		t.Error("signs with 1024 bits")
	}
	if _, err := ParseAllowed([]byte("admin:ada "+public(t, short)+"\n"), os.ReadFile); err == nil {
		t.Error("allows 1024 bits")
	}
}

// A text in which two programs might each find another signature is none.
func TestArmor(t *testing.T) {
	key := sshKeyFile(t, "-t", "ed25519")
	a := allowed(t, "admin:ada "+public(t, key))
	good := string(signed(t, privKey(t, key, ""), text, someday))
	other := string(signed(t, privKey(t, key, ""), "other", someday))
	for name, armored := range map[string]string{
		"empty": "", "two": good + other, "before": "x\n" + good, "after": good + "x\n", "cut": good[:len(good)-30],
		"header":  strings.Replace(good, "\n", "\nProc-Type: 4\n\n", 1),
		"label":   strings.ReplaceAll(good, "SSH", "PGP"),
		"x509":    strings.ReplaceAll(good, "SSH SIGNATURE", "SIGNED MESSAGE"),
		"bits":    strings.Replace(good, "A", "B", 1),
		"huge":    good + strings.Repeat("\n", maxArmor),
		"nothing": "-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----\n",
	} {
		if s, err := a.Verify([]byte(text), []byte(armored), someday); !errors.Is(err, ErrMalformed) || len(s.Principals) > 0 {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
	s, err := a.Verify([]byte(text), []byte(good), someday)
	wants(t, s, err, "admin:ada", nil)
}

// Touching the key is what a hardware key's signature proves; x/crypto checks it. Here:
// that such a key may stand in the list at all.
func TestHardwareKeyListed(t *testing.T) {
	const sk = "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIJ7Qu4UiyLkuWnmsqHPzNcKOOKa3Pgb7oeAaPCzTnJzaAAAABHNzaDo="
	allowed(t, "site:oslo "+sk)
	allowed(t, `site:oslo namespaces="git" `+sk)
}
