package seal_test

import (
	"bytes"
	"regexp"
	"testing"

	"github.com/enlace-go/enlace/internal/seal"
)

func TestFingerprint(t *testing.T) {
	root := func(first byte) seal.Key {
		bytes := bytes.Repeat([]byte{first, 1, 2, 3, 4, 5, 6, 7}, 4)
		k, err := seal.NewKey(7, bytes)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	one, other := root(0), root(9)
	print := seal.Fingerprint(one, "acme", []byte("secret"))
	if !regexp.MustCompile(`^[0-9a-f]{8}$`).MatchString(print) {
		t.Errorf("%q is no fingerprint", print)
	}
	if again := seal.Fingerprint(one, "acme", []byte("secret")); again != print {
		t.Errorf("the same secret has %q and %q", print, again)
	}
	for what, different := range map[string]string{
		"another secret": seal.Fingerprint(one, "acme", []byte("secret2")),
		"another tenant": seal.Fingerprint(one, "acm", []byte("esecret")),
		"another key":    seal.Fingerprint(other, "acme", []byte("secret")),
	} {
		if different == print {
			t.Errorf("%s has the same fingerprint", what)
		}
	}
	if zero := seal.Fingerprint(seal.Key{}, "acme", []byte("secret")); zero != "" {
		t.Errorf("the zero key gives %q", zero)
	}
}
