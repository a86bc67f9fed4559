// Package signature makes and checks the signatures that git puts on commits, in
// the two forms that people use: SSH keys (OpenSSH's PROTOCOL.sshsig, namespace
// "git") and OpenPGP. Who may sign, until when and as what stands in an
// allowed-signers file in OpenSSH's format (ssh-keygen(1), ALLOWED SIGNERS).
//
// It knows bytes and moments, no repository: what a role may change is decided
// in gitsource.
package signature
