package seal

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// KeySize is the length of a root key in bytes.
const KeySize = 32

// minDistinct is how many different byte values a root key must have. Of
// random keys fewer than one in 10^30 has less; a repeated character has one.
const minDistinct = 8

// ErrKey says that a root key or its id cannot be used. Make a key from 32
// random bytes, for example with `openssl rand`.
var ErrKey = errors.New("seal: unusable key")

// KeyID names a root key in each record's header. It is not secret. 0 is no
// key.
type KeyID uint64

// Key is a root key with its id. Make one with [NewKey]; the zero Key seals and
// opens nothing. A Key does not show its bytes to fmt, slog or any encoder, also
// inside other values: they are held by a closure, which reflection cannot
// enter.
type Key struct {
	id     KeyID
	derive func(salt []byte, info string, size int) []byte
}

// NewKey returns the key with the given id. root must be [KeySize] bytes from a
// random source; it is copied, so the caller should clear it. The error is
// [ErrKey] when the id is 0, the length is wrong or root has fewer than 8
// different byte values, as a placeholder or a repeated text would.
func NewKey(id KeyID, root []byte) (Key, error) {
	switch {
	case id == 0:
		return Key{}, fmt.Errorf("%w: its id is 0", ErrKey)
	case len(root) != KeySize:
		return Key{}, fmt.Errorf("%w: it has %d bytes, not %d", ErrKey, len(root), KeySize)
	case distinct(root) < minDistinct:
		return Key{}, fmt.Errorf("%w: it is not random", ErrKey)
	}
	root = bytes.Clone(root)
	return Key{id, func(salt []byte, info string, size int) []byte { return expand(root, salt, info, size) }}, nil
}

// expand is HKDF-SHA256 (RFC 5869) for up to 255 blocks. It is what crypto/hkdf
// computes, which a test checks, with half of its allocations: it is the larger
// part of the cost of a record.
func expand(root, salt []byte, info string, size int) []byte {
	extract := hmac.New(sha256.New, salt)
	extract.Write(root)
	blocks := hmac.New(sha256.New, extract.Sum(nil))
	okm := make([]byte, 0, size+sha256.Size)
	suffix := append([]byte(info), 0)
	for len(okm) < size {
		blocks.Reset()
		blocks.Write(okm[max(0, len(okm)-sha256.Size):])
		suffix[len(suffix)-1]++
		blocks.Write(suffix)
		okm = blocks.Sum(okm)
	}
	return okm[:size]
}

// ID returns the key's id, 0 for the zero Key.
func (k Key) ID() KeyID { return k.id }

// Format writes a fixed text for every verb.
func (Key) Format(f fmt.State, _ rune) { io.WriteString(f, "[key]") }

// DeriveKeyID returns the id of a root key that is configured without one, for
// example from an environment variable: the first 8 bytes of HKDF-SHA256 over
// root without salt, with the info "enlace/key-id/v1". The same root has the
// same id in every process, and the id tells nothing of the root. It is not 0,
// except for a root whose length is not [KeySize], which [NewKey] refuses too.
func DeriveKeyID(root []byte) KeyID {
	if len(root) != KeySize {
		return 0
	}
	id, err := hkdf.Key(sha256.New, root, nil, "enlace/key-id/v1", 8)
	if err != nil {
		return 0
	}
	return KeyID(max(binary.BigEndian.Uint64(id), 1))
}

func distinct(b []byte) int {
	var seen [256]bool
	n := 0
	for _, c := range b {
		if !seen[c] {
			seen[c] = true
			n++
		}
	}
	return n
}
