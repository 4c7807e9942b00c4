package seal

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"testing"
)

// expand is what crypto/hkdf computes, for every length of its inputs.
func TestExpand(t *testing.T) {
	for n := range 200 {
		root, salt, info := make([]byte, KeySize), make([]byte, commitOffset-saltOffset), make([]byte, n)
		for _, b := range [][]byte{root, salt, info} {
			_, _ = rand.Read(b)
		}
		want, err := hkdf.Key(sha256.New, root, salt, string(info), n+1)
		if err != nil {
			t.Fatal(err)
		}
		if got := expand(root, salt, string(info), n+1); !bytes.Equal(got, want) {
			t.Fatalf("%d bytes: %x, want %x", n+1, got, want)
		}
	}
}
