package enlace

import (
	"context"

	"github.com/enlace-go/enlace/internal/seal"
)

// RecordPlace is where a sealed piece of a customer's data is kept: a webhook's
// body, a record's last state, what a write replaced. It opens only there.
type RecordPlace struct {
	Ref
	Kind string // the table, such as "inbox"
	Name string // the id within the table
}

func (p RecordPlace) context() seal.Context {
	return seal.Context{Kind: p.Kind, Tenant: p.Tenant, Integration: p.ID, Name: p.Name}
}

// SealRecord seals data for its place. The result's Version and UpdatedAt are
// zero. Errors match ErrKey.
func (s *Safe) SealRecord(ctx context.Context, p RecordPlace, data []byte) (Sealed, error) {
	key, err := s.keys.Primary(ctx)
	if err != nil {
		return Sealed{}, wrapKey("seal record", err)
	}
	sealed, err := seal.Seal(key.key, seal.PurposeRecord, p.context(), data)
	return Sealed{Data: sealed, KeyID: key.ID()}, wrapKey("seal record", err)
}

// OpenRecord opens what SealRecord has sealed for the same place. Errors match ErrKey.
func (s *Safe) OpenRecord(ctx context.Context, p RecordPlace, sealed []byte) ([]byte, error) {
	data, err := openSealed(ctx, s.keys, seal.PurposeRecord, p.context(), sealed)
	return data, wrapKey("open record", err)
}

// StoredRecord is a sealed piece of data with its place.
type StoredRecord struct {
	Place    RecordPlace
	Data     []byte
	KeyID    uint64 // the key that sealed Data; a hint, not trusted
	Position string // where the store's walk stands; for the next call
}

// RecordResealer lets sealed records be sealed anew, by a new root key, while they
// are in use.
type RecordResealer interface {
	// RecordsNotSealedBy returns up to limit sealed records, of all tenants and
	// kinds, whose KeyID is another than keyID, behind the position after, whose
	// zero value is the beginning.
	RecordsNotSealedBy(ctx context.Context, keyID uint64, after string, limit int) ([]StoredRecord, error)

	// ResealRecords replaces Data and KeyID of each record of old, of which anew
	// has the successor at the same index, if Data is still the old one. What has
	// changed or gone meanwhile is left alone. Versions stay: the content is the
	// same. It returns how many were replaced.
	ResealRecords(ctx context.Context, old, anew []StoredRecord) (int, error)
}
