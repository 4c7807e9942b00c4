package seal

import "encoding/binary"

// maxContextField bounds one field, far above any name and far below what a
// 4-byte length can say.
const maxContextField = 1 << 20

// Context is the place of a record: it opens only where every field is the same
// as when it was sealed. Put only what does not change there; whoever renames
// one of them opens and seals again. Status, times and row versions do not
// belong here. Fields may be empty and hold any bytes, up to 1 MiB each.
type Context struct {
	Kind        string // record kind, for example "credential"
	Tenant      string // tenant id
	Integration string // integration id
	Connection  string // connection id
	Name        string // secret name, for example "refresh_token"
	// Host is the endpoint the secret may be sent to. It is here so that
	// someone who can write a clear base_url column does not receive the
	// secret.
	Host string
}

// fields is the order of format v1, which never changes.
func (c *Context) fields() [6]string {
	return [6]string{c.Kind, c.Tenant, c.Integration, c.Connection, c.Name, c.Host}
}

func (c *Context) fits() bool {
	for _, f := range c.fields() {
		if len(f) > maxContextField {
			return false
		}
	}
	return true
}

// additionalData is the header up to the nonce followed by the canonical
// context.
func (c *Context) additionalData(header []byte) []byte {
	fields := c.fields()
	size := len(header) + 4
	for _, f := range fields {
		size += 4 + len(f)
	}
	data := make([]byte, 0, size)
	data = append(data, header...)
	data = binary.BigEndian.AppendUint32(data, uint32(len(fields)))
	for _, f := range fields {
		data = binary.BigEndian.AppendUint32(data, uint32(len(f)))
		data = append(data, f...)
	}
	return data
}
