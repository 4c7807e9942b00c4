package enlace

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"
)

// AuditHash is a SHA-256; it shows as 64 hexadecimal digits.
type AuditHash [sha256.Size]byte

// String implements fmt.Stringer.
func (h AuditHash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText implements encoding.TextMarshaler.
func (h AuditHash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *AuditHash) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(h)) {
		return &Error{Op: "parse hash", Kind: ErrInvalid, Message: "64 hexadecimal digits are allowed"}
	}
	if _, err := hex.Decode(h[:], text); err != nil {
		return &Error{Op: "parse hash", Kind: ErrInvalid, Message: "64 hexadecimal digits are allowed"}
	}
	return nil
}

// after is the entry as it follows the head.
func (e AuditEntry) after(head AuditHead, now time.Time) AuditEntry {
	e.Seq, e.Previous = head.Seq+1, head.Hash
	e.At = now.UTC().Truncate(time.Microsecond) // as every store gives it back
	e.Hash = e.sum()
	return e
}

// head is the head of the chain that ends with the entry.
func (e AuditEntry) head() AuditHead { return AuditHead{Tenant: e.Tenant, Seq: e.Seq, Hash: e.Hash} }

// auditForm names the form of what is hashed. A later form gets another name, so
// that no bytes mean two entries.
const auditForm = "enlace audit 1"

// sum is the entry's hash: of the one before and of every field with its length in
// front, so that no text can be shifted from one field to the next.
func (e AuditEntry) sum() AuditHash {
	b := make([]byte, 0, 512)
	text := func(s string) {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	text(auditForm)
	b = append(b, e.Previous[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(e.Seq))
	b = binary.BigEndian.AppendUint64(b, uint64(e.At.UnixMicro()))
	for _, s := range []string{e.Tenant, e.Actor.ID, e.Actor.Address, e.Actor.Request, e.Action, e.Integration, e.Target, string(e.Result), e.Kind} {
		text(s)
	}
	b = binary.AppendUvarint(b, uint64(len(e.Fields)))
	for _, f := range e.Fields {
		text(f)
	}
	return sha256.Sum256(b)
}

// AuditReport is what [Service.VerifyAudit] found.
type AuditReport struct {
	OK      bool
	Entries int64     // that were read and are good
	Head    AuditHead // of the last good entry
	// Bad is the first entry that is not what it was when it was written, or that
	// is missing, by its Seq. It is 0 if all is well.
	Bad    int64
	Reason string // what is wrong with it, in words
}

// VerifyAudit reads a tenant's whole audit log and says whether every entry is
// what it was when it was written: none changed, removed, put elsewhere or cut off at
// the end. known are heads that were kept elsewhere (from [Service.AuditHead], the
// minutely log line "audit head" or an [AuditRecorded] observation): they also
// find out somebody who wrote a whole new chain, with its head. What is wrong with
// the log is in the report; the error is for a log that could not be read.
func (s *Service) VerifyAudit(ctx context.Context, tenant string, known ...AuditHead) (AuditReport, error) {
	return s.VerifyAuditAfter(ctx, AuditHead{Tenant: tenant}, known...)
}

// VerifyAuditAfter is VerifyAudit of what comes behind from, a head up to which the log
// was verified before and that was kept elsewhere: a long log need not be read as a whole
// each time. Entries of the report counts those that were read now.
func (s *Service) VerifyAuditAfter(ctx context.Context, from AuditHead, known ...AuditHead) (AuditReport, error) {
	tenant := from.Tenant
	stored, err := s.store.AuditHead(ctx, tenant)
	if err != nil {
		return AuditReport{}, wrap("verify audit", ErrStore, err)
	}
	check := auditCheck{tenant: tenant, known: map[int64]AuditHash{}}
	if from.Seq > 0 {
		check.report.Head = from
	}
	for _, h := range known {
		if h.Tenant == tenant && h.Seq > 0 {
			check.known[h.Seq] = h.Hash
			check.last = max(check.last, h.Seq)
		}
	}
	q := AuditQuery{Tenant: tenant, After: from.Seq, OldestFirst: true, Limit: 1000}
	for {
		entries, next, err := s.store.AuditEntries(ctx, q)
		if err != nil {
			return check.report, wrap("verify audit", ErrStore, err)
		}
		for _, e := range entries {
			if e.Seq > stored.Seq && check.report.Head == stored {
				return check.end(stored), nil // written while this runs
			}
			if !check.take(e) {
				return check.report, nil
			}
		}
		if next == "" {
			return check.end(stored), nil
		}
		q.Cursor = next
	}
}

// auditCheck goes along a chain.
type auditCheck struct {
	tenant string
	known  map[int64]AuditHash
	last   int64 // the greatest known Seq
	report AuditReport
}

// take checks the next entry and says whether to go on.
func (c *auditCheck) take(e AuditEntry) bool {
	head := c.report.Head
	hash, known := c.known[e.Seq]
	switch {
	case e.Seq != head.Seq+1:
		return c.bad(head.Seq+1, fmt.Sprintf("it is missing; entry %d comes next", e.Seq))
	case e.Tenant != c.tenant:
		return c.bad(e.Seq, "it belongs to another tenant")
	case e.Previous != head.Hash:
		return c.bad(e.Seq, "it does not follow the entry before it")
	case e.Hash != e.sum():
		return c.bad(e.Seq, "its content is not what was hashed")
	case known && hash != e.Hash:
		return c.bad(e.Seq, "it is another entry than the known head")
	}
	c.report.Entries++
	c.report.Head = e.head()
	return true
}

// end checks what must hold after the last entry.
func (c *auditCheck) end(stored AuditHead) AuditReport {
	head := c.report.Head
	switch {
	case head.Seq < max(stored.Seq, c.last):
		c.bad(head.Seq+1, "it is missing: the log was cut off")
	case head.Seq != stored.Seq || head.Hash != stored.Hash:
		c.bad(head.Seq, "the stored head is another one")
	default:
		c.report.OK = true
	}
	return c.report
}

func (c *auditCheck) bad(seq int64, reason string) bool {
	c.report.Bad, c.report.Reason = seq, reason
	return false
}
