// Package seal encrypts what Enlace keeps at rest: credentials, OAuth states
// and stored webhook bodies. A sealed record opens only with its key, for its
// purpose and at its place (the [Context]); moved to another row, tenant or
// host it does not open.
//
// # Format v1
//
// A record is [Overhead] bytes longer than its plaintext. Integers are big
// endian.
//
//	offset  size  field
//	0       4     magic "ENLC"
//	4       1     version, 1
//	5       1     suite, 1: HKDF-SHA256, AES-256-GCM, key commitment
//	6       2     zero
//	8       8     key id, not 0
//	16      32    salt, random for each record
//	48      32    commitment
//	80      12    GCM nonce, random
//	92      n+16  ciphertext and tag
//
//	okm  = HKDF-SHA256(root key, salt, "enlace/v1/" + purpose + SHA-256(bytes 0..47), 64 bytes)
//	AES key = okm[0:32], commitment = okm[32:64]
//	additional data = bytes 0..79 + canonical context
//
// The canonical context is count(4) followed by length(4) and bytes of each
// field, so that no two contexts share an encoding.
//
// Each record has an AES key of its own from 256 random bits, which keeps the
// limit of random GCM nonces (2^32 messages for one key) out of reach. The
// commitment makes a record open under one key only; GCM alone does not.
//
// Every primitive is allowed under GODEBUG=fips140=only.
//
// All functions may be called from several goroutines at once.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
)

// The purposes in use. A purpose is part of the key derivation, so a record
// sealed for one of them cannot be passed off as another. Their values are part
// of the stored format and never change.
const (
	PurposeCredential  = "credential"   // tokens, API keys, client secrets
	PurposeState       = "oauth-state"  // the OAuth2 state parameter
	PurposeWebhookBody = "webhook-body" // bodies waiting in the inbox
	PurposeRecord      = "record"       // customers' data that is kept for a while
)

// Overhead is how many bytes a sealed record is longer than its plaintext.
const Overhead = textOffset + tagSize

const (
	magic   = "ENLC"
	version = 1
	suite   = 1
	label   = "enlace/v1/"

	keyIDOffset  = 8
	saltOffset   = 16
	commitOffset = 48
	nonceOffset  = 80
	textOffset   = 92
	tagSize      = 16

	aesKeySize = 32
	commitSize = nonceOffset - commitOffset
)

var (
	// ErrFormat says that the bytes are not a record of a known version and
	// suite. They are never taken for plaintext.
	ErrFormat = errors.New("seal: not a sealed record of a known format")
	// ErrKeyUnknown says that no key has the record's id: reload the keyring
	// once and try again. The lookup given to [Open] returns it.
	ErrKeyUnknown = errors.New("seal: unknown key id, reload the keyring")
	// ErrOpen says that the record was changed, or that the key, purpose or
	// context is another than when it was sealed. Which of them is not told.
	ErrOpen = errors.New("seal: record does not open with this key, purpose and context")
	// ErrInput says that [Seal] was given an empty purpose or a context field
	// that is too long.
	ErrInput = errors.New("seal: refused input")
)

// Seal encrypts plaintext under k for a purpose and a place. The same purpose
// and context must be given to [Open]. The purpose is one of the Purpose
// constants; it must not be empty. plaintext may be empty and is not kept.
//
// Errors: [ErrKey] for the zero Key, [ErrInput].
func Seal(k Key, purpose string, c Context, plaintext []byte) ([]byte, error) {
	if k.derive == nil {
		return nil, fmt.Errorf("%w: zero Key", ErrKey)
	}
	if purpose == "" {
		return nil, fmt.Errorf("%w: empty purpose", ErrInput)
	}
	if !c.fits() {
		return nil, fmt.Errorf("%w: context field over %d bytes", ErrInput, maxContextField)
	}

	record := make([]byte, nonceOffset, Overhead+len(plaintext))
	copy(record, magic)
	record[4], record[5] = version, suite
	binary.BigEndian.PutUint64(record[keyIDOffset:], uint64(k.id))
	rand.Read(record[saltOffset:commitOffset]) // never fails: it ends the program instead

	aead, commitment, err := recordCipher(k, purpose, record[:commitOffset])
	if err != nil {
		return nil, err
	}
	copy(record[commitOffset:], commitment[:])
	return aead.Seal(record, nil, plaintext, c.additionalData(record[:nonceOffset])), nil
}

// Open decrypts a record of [Seal]. lookup gets the key id of the record's
// header, which is not yet authenticated, and may do I/O; its error is returned
// unchanged. The plaintext is a new slice, which the caller should clear after
// use; it is not nil, even when empty.
//
// Errors: [ErrFormat], [ErrOpen], [ErrKeyUnknown] and whatever else lookup
// returns.
func Open(lookup func(KeyID) (Key, error), purpose string, c Context, sealed []byte) ([]byte, error) {
	id, err := KeyIDOf(sealed)
	if err != nil {
		return nil, err
	}
	k, err := lookup(id)
	if err != nil {
		return nil, err
	}
	if k.id != id { // also the zero Key
		return nil, ErrKeyUnknown
	}
	if !c.fits() { // nothing was ever sealed at such a place
		return nil, ErrOpen
	}
	aead, commitment, err := recordCipher(k, purpose, sealed[:commitOffset])
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(commitment[:], sealed[commitOffset:nonceOffset]) != 1 {
		return nil, ErrOpen
	}
	plaintext := make([]byte, 0, len(sealed)-Overhead)
	plaintext, err = aead.Open(plaintext, nil, sealed[nonceOffset:], c.additionalData(sealed[:nonceOffset]))
	if err != nil {
		return nil, ErrOpen
	}
	return plaintext, nil
}

// KeyIDOf returns the key id in a record's header without opening it, to find
// records that need a new seal after a rotation. The header is not
// authenticated: only [Open] proves it. The error is [ErrFormat] or nil.
func KeyIDOf(sealed []byte) (KeyID, error) {
	if len(sealed) < Overhead || string(sealed[:4]) != magic {
		return 0, ErrFormat
	}
	if sealed[4] != version || sealed[5] != suite || sealed[6] != 0 || sealed[7] != 0 {
		return 0, ErrFormat
	}
	id := KeyID(binary.BigEndian.Uint64(sealed[keyIDOffset:]))
	if id == 0 {
		return 0, ErrFormat
	}
	return id, nil
}

// recordCipher derives the one-record AES key and the commitment from the
// header up to and including the salt.
func recordCipher(k Key, purpose string, header []byte) (cipher.AEAD, [commitSize]byte, error) {
	var commitment [commitSize]byte
	digest := sha256.Sum256(header)
	info := label + purpose + string(digest[:])
	okm := k.derive(header[saltOffset:commitOffset], info, aesKeySize+commitSize)
	defer clear(okm)
	copy(commitment[:], okm[aesKeySize:])

	block, err := aes.NewCipher(okm[:aesKeySize])
	if err != nil {
		return nil, commitment, fmt.Errorf("seal: AES: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, commitment, fmt.Errorf("seal: GCM: %w", err)
	}
	return aead, commitment, nil
}
