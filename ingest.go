package enlace

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	deliveryKind = "delivery" // of the place that a sealed delivery is bound to
	// maxStoredHeaders bounds what is kept of a delivery's headers, in bytes.
	maxStoredHeaders = 16 << 10
	// sharedCommit is how many deliveries one commit takes.
	sharedCommit = 256
	// commitBeside is how many must wait for another commit to begin beside one; measured: with
	// PostgreSQL a commit of one delivery costs as much as seven deliveries in a larger one.
	commitBeside = 32
)

// arrival is a verified delivery on its way into the inbox.
type arrival struct {
	endpoint  *endpoint
	delivery  Delivery
	proof     Proof
	stored    StoredDelivery
	duplicate bool // set by the commit
}

// seal makes the row of an arrival.
func (s *Service) seal(ctx context.Context, a *arrival) error {
	d := a.delivery
	if v, ok := a.endpoint.verifier.(interface{ strip(*Delivery) }); ok {
		v.strip(&d)
	}
	a.stored = StoredDelivery{ID: s.deliveryIDs.next(d.ReceivedAt), Ref: d.Ref, Provider: a.endpoint.integration.Provider, State: DeliveryReceived,
		Signed: a.proof.Signed, SignedAt: a.proof.SignedAt, ReceivedAt: d.ReceivedAt}
	key := a.proof.Key
	if a.endpoint.terms.SentOnce {
		key = ""
	}
	a.stored.DedupeKey = dedupeKey(key, a.stored.ID)
	sealed, err := s.safe.SealRecord(ctx, deliveryPlace(a.stored), marshalDelivery(d))
	a.stored.Sealed = sealed
	return err
}

func deliveryPlace(d StoredDelivery) RecordPlace {
	return RecordPlace{Ref: d.Ref, Kind: deliveryKind, Name: d.ID}
}

// dedupeKey is the key in the store: as long for every key, and the delivery's own
// where nothing tells its repetitions.
func dedupeKey(key, id string) string {
	if key == "" {
		return id
	}
	sum := sha256.Sum256([]byte(key))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// ParallelCommitter is implemented by stores that can make several commits durable at the
// same time, such as those on a database server. Without it one commit of deliveries is on
// its way at a time, and what arrives meanwhile gathers for the next; with it another one
// begins beside it when enough has gathered.
type ParallelCommitter interface {
	// ParallelCommits is how many commits at the same time bring more than one after the
	// other; 1 or more.
	ParallelCommits() int
}

func parallelCommits(store Store) int {
	if p, ok := store.(ParallelCommitter); ok {
		return max(p.ParallelCommits(), 1)
	}
	return 1
}

// commitArrivals stores deliveries, in the store or else in the spill directory.
func (s *Service) commitArrivals(ctx context.Context, arrivals []*arrival) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	rows := make([]StoredDelivery, len(arrivals))
	for i, a := range arrivals {
		rows[i] = a.stored
	}
	inserted, err := s.insertDeliveries(ctx, rows)
	if err != nil {
		return s.spillDeliveries(rows, err)
	}
	if len(inserted) == len(rows) {
		return nil
	}
	fresh := make(map[string]bool, len(inserted))
	for _, id := range inserted {
		fresh[id] = true
	}
	for _, a := range arrivals {
		a.duplicate = !fresh[a.stored.ID]
	}
	return nil
}

// insertDeliveries stores deliveries and has them worked on, and returns the ids of
// those that were not there yet. An engine of several processes takes its jobs in the same
// transaction; that of this process spares it.
func (s *Service) insertDeliveries(ctx context.Context, rows []StoredDelivery) (inserted []string, err error) {
	var refs []Ref
	seen := map[Ref]bool{}
	for _, row := range rows {
		if !seen[row.Ref] {
			seen[row.Ref] = true
			refs = append(refs, row.Ref)
		}
	}
	insert := func(ctx context.Context) (err error) {
		if inserted, err = s.store.InsertDeliveries(ctx, rows); err != nil || len(inserted) == 0 {
			return err
		}
		return s.wake(ctx, refs...)
	}
	if s.alone {
		err = insert(ctx)
	} else {
		err = s.store.Transact(ctx, insert)
	}
	return inserted, err
}

// spilled is a row in a file.
type spilled struct {
	StoredDelivery
	DedupeKey string
	Data      []byte
	KeyID     uint64
}

// spillDeliveries keeps rows in a file if the host wants that, and returns cause if not.
func (s *Service) spillDeliveries(rows []StoredDelivery, cause error) error {
	if s.spill == nil {
		return cause
	}
	file := make([]spilled, len(rows))
	for i, row := range rows {
		file[i] = spilled{StoredDelivery: row, DedupeKey: row.DedupeKey, Data: row.Sealed.Data, KeyID: row.Sealed.KeyID}
	}
	data, err := json.Marshal(file)
	if err == nil {
		err = s.spill.write(rows[0].ID, data)
	}
	if err != nil {
		return errors.Join(cause, err)
	}
	s.logger.Warn("webhook deliveries spilled to a file", "deliveries", len(rows), "cause", cause)
	return nil
}

// drainSpill brings what was spilled into the store.
func (s *Service) drainSpill(ctx context.Context) error {
	if s.spill == nil {
		return nil
	}
	_, err := s.spill.drain(func(data []byte) error {
		var file []spilled
		if err := json.Unmarshal(data, &file); err != nil {
			return errors.New("a spilled file is not of a known form")
		}
		rows := make([]StoredDelivery, len(file))
		for i, f := range file {
			rows[i] = f.StoredDelivery
			rows[i].DedupeKey, rows[i].Sealed = f.DedupeKey, Sealed{Data: f.Data, KeyID: f.KeyID}
		}
		_, err := s.insertDeliveries(ctx, rows)
		return wrap("insert spilled deliveries", ErrStore, err)
	})
	return err
}

// deliveryMeta is the form of a delivery inside the seal, before its body. Fields are
// only added.
type deliveryMeta struct {
	Method string      `json:"method,omitempty"` // empty for events that were polled
	URL    string      `json:"url,omitempty"`    // the path, escaped, "?" and the query
	Header http.Header `json:"header,omitempty"`
	At     int64       `json:"at"` // microseconds since 1970
}

// marshalDelivery writes the length of the meta data, these, and the body as it is.
func marshalDelivery(d Delivery) []byte {
	var room [1 << 10]byte
	meta := appendMeta(room[:0], d)
	data := make([]byte, 0, binary.MaxVarintLen64+len(meta)+len(d.Body))
	data = binary.AppendUvarint(data, uint64(len(meta)))
	return append(append(data, meta...), d.Body...)
}

// appendMeta writes the deliveryMeta of a delivery: each one that comes in waits for it, and
// encoding/json takes ten times as long.
func appendMeta(b []byte, d Delivery) []byte {
	b = appendText(append(b, `{"method":`...), d.Method)
	if d.URL != nil {
		b = appendText(append(b, `,"url":`...), (&url.URL{Path: d.URL.Path}).EscapedPath()+"?"+d.URL.RawQuery)
	}
	b = append(b, `,"header":{`...)
	first := true
	for name, values := range storedHeaders(d.Header) {
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(appendText(b, name), ":["...)
		for i, v := range values {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendText(b, v)
		}
		b = append(b, ']')
	}
	b = strconv.AppendInt(append(b, `},"at":`...), d.ReceivedAt.UnixMicro(), 10)
	return append(b, '}')
}

// appendText writes a JSON string.
func appendText(b []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(text) // texts always have a form
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), text...), '"')
}

var errDeliveryForm = errors.New("the opened delivery is not of a known form")

func unmarshalDelivery(ref Ref, data []byte) (Delivery, error) {
	size, n := binary.Uvarint(data)
	if n <= 0 || size > uint64(len(data)-n) {
		return Delivery{}, errDeliveryForm
	}
	var m deliveryMeta
	if json.Unmarshal(data[n:n+int(size)], &m) != nil {
		return Delivery{}, errDeliveryForm
	}
	path, query, _ := strings.Cut(m.URL, "?") // not by url.Parse, to which "//a" is a host and "#" an end
	path, err := url.PathUnescape(path)
	if err != nil {
		return Delivery{}, errDeliveryForm
	}
	if m.Header == nil {
		m.Header = http.Header{}
	}
	return Delivery{Ref: ref, Method: m.Method, URL: &url.URL{Path: path, RawQuery: query}, Header: m.Header, Body: data[n+int(size):], ReceivedAt: time.UnixMicro(m.At).UTC()}, nil
}

// storedHeaders gives the headers without what belongs to the connection and what opens something.
func storedHeaders(h http.Header) iter.Seq2[string, []string] {
	return func(yield func(string, []string) bool) {
		size := 0
		for name, values := range h {
			switch name {
			case "Accept", "Accept-Encoding", "Authorization", "Connection", "Content-Length", "Cookie", "Proxy-Authorization", "Te", "Upgrade":
				continue
			}
			for _, v := range values {
				size += len(name) + len(v)
			}
			if size > maxStoredHeaders || !yield(name, values) {
				return
			}
		}
	}
}

// strip takes the secret out of a delivery that is verified: it is not needed again.
func (v TokenVerifier) strip(d *Delivery) {
	switch {
	case v.Header != "":
		d.Header = d.Header.Clone()
		d.Header.Del(v.Header)
	case v.Query != "" && d.URL != nil:
		query := d.URL.Query()
		query.Del(v.Query)
		d.URL = &url.URL{Path: d.URL.Path, RawQuery: query.Encode()}
	case v.Path && d.URL != nil:
		d.URL = &url.URL{Path: d.URL.Path[:strings.LastIndexByte(d.URL.Path, '/')], RawQuery: d.URL.RawQuery}
	}
}
