package file

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"
	"unicode/utf8"

	"github.com/enlace-go/enlace"
)

// magic is the first line of every value's file. A change of the format changes it.
const magic = "enlace credential 1\n"

// maxSize bounds a file, in bytes. A sealed credential has a few thousand.
const maxSize = 1 << 20

var errFormat = errors.New("not a credential in a form that this version knows; restore the file from a backup, or remove it and reconnect")

// record is the content of a value's file.
type record struct {
	header
	data []byte
}

// header is the JSON line. Its fields are written in this order.
type header struct {
	Tenant      string    `json:"tenant"`
	Integration string    `json:"integration"`
	Name        string    `json:"name"`
	KeyID       uint64    `json:"key_id"`
	Version     int64     `json:"version"` // 0 if there never was a value; such a record is not stored
	UpdatedAt   time.Time `json:"updated_at"`
	Deleted     bool      `json:"deleted"`
	Size        int       `json:"size"` // of the sealed bytes that follow
}

// emptyRecord is what a key has before its first value.
func emptyRecord(key enlace.CredentialKey) record {
	return record{header: header{Tenant: key.Tenant, Integration: key.ID, Name: key.Name, Deleted: true}}
}

// next is the record that follows r, with a value.
func (r record) next(data []byte, keyID uint64) record {
	r.data, r.KeyID, r.Deleted = data, keyID, false
	return r.stamp()
}

// deleted is the record that follows r, without a value.
func (r record) deleted() record {
	r.data, r.KeyID, r.Deleted = nil, 0, true
	return r.stamp()
}

func (r record) stamp() record {
	r.Version++
	r.UpdatedAt = time.Now().UTC().Truncate(time.Microsecond)
	return r
}

func (r record) key() enlace.CredentialKey {
	return enlace.CredentialKey{Ref: enlace.Ref{Tenant: r.Tenant, ID: r.Integration}, Name: r.Name}
}

// sealed is the value, nil if there is none.
func (r record) sealed() *enlace.Sealed {
	if r.Deleted {
		return nil
	}
	return &enlace.Sealed{Data: r.data, KeyID: r.KeyID, Version: r.Version, UpdatedAt: r.UpdatedAt}
}

func (r record) encode() ([]byte, error) {
	r.Size = len(r.data)
	line, err := json.Marshal(r.header)
	if err != nil {
		return nil, err
	}
	data := make([]byte, 0, len(magic)+len(line)+1+len(r.data))
	data = append(append(append(data, magic...), line...), '\n')
	if data = append(data, r.data...); len(data) > maxSize {
		return nil, &enlace.ValidationError{Faults: []enlace.Fault{{
			Field: "Data", Problem: "too large", Allowed: "at most 1 MiB with its key"}}}
	}
	return data, nil
}

// parse reads what encode has written, and nothing else: a file that would be
// written in another way was cut, grown or edited.
func parse(data []byte) (record, error) {
	rest, found := bytes.CutPrefix(data, []byte(magic))
	line, sealed, complete := bytes.Cut(rest, []byte{'\n'})
	if !found || !complete {
		return record{}, errFormat
	}
	r := record{data: sealed}
	if err := json.Unmarshal(line, &r.header); err != nil {
		return record{}, errFormat
	}
	r.UpdatedAt = r.UpdatedAt.UTC()
	again, err := r.encode()
	if err != nil || !bytes.Equal(again, data) || r.Version < 1 || r.Deleted && len(sealed) > 0 {
		return record{}, errFormat
	}
	return r, nil
}

// fileName is the common part of the names of a key's files. Tenants come first,
// so that a tenant's files are found by their names.
func fileName(key enlace.CredentialKey) (string, error) {
	if !utf8.ValidString(key.Tenant) || !utf8.ValidString(key.ID) || !utf8.ValidString(key.Name) {
		return "", &enlace.ValidationError{Faults: []enlace.Fault{{
			Field: "CredentialKey", Problem: "not UTF-8", Allowed: "ids and names in UTF-8"}}}
	}
	return tenantPrefix(key.Tenant) + digest(key.Tenant, key.ID, key.Name), nil
}

func tenantPrefix(tenant string) string { return digest(tenant) + "-" }

// digest is 128 bits of a hash over the parts, as 32 hexadecimal digits. Each
// part is preceded by its length, so that no two lists of parts are the same bytes.
func digest(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		_ = binary.Write(h, binary.BigEndian, uint64(len(part))) // a hash takes everything
		h.Write([]byte(part))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
