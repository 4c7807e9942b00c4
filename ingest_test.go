package enlace

import (
	"bytes"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"testing"
	"time"
)

// What a delivery is stored as opens to the same delivery; connection headers and what opens
// something are left out.
func TestStoredForm(t *testing.T) {
	ref := Ref{Tenant: "acme", ID: "i1"}
	d := Delivery{Ref: ref, Method: "POST", URL: &url.URL{Scheme: "https", Host: "host.example", Path: "//a b/webhook", RawQuery: "a=1&b=%20#c?"},
		Header: http.Header{"Content-Type": {"application/json"}, "X-Two": {"1", "\"2\" \\ <é>\t"}, "Authorization": {"Basic eDp5"}, "Cookie": {"a=b"}},
		Body:   []byte("{\"a\":\"\x00\xff\"}"), ReceivedAt: time.Date(2026, 11, 28, 12, 0, 0, 123_456_789, time.UTC)}
	got, err := unmarshalDelivery(ref, marshalDelivery(d))
	d.Header = http.Header{"Content-Type": {"application/json"}, "X-Two": d.Header["X-Two"]}
	d.ReceivedAt = d.ReceivedAt.Truncate(time.Microsecond)
	d.URL = &url.URL{Path: d.URL.Path, RawQuery: d.URL.RawQuery}
	if err != nil || !reflect.DeepEqual(got, d) {
		t.Errorf("%+v, %v, want %+v", got, err, d)
	}
}

// Whatever the opened bytes are, they are a delivery or of no known form, and what is read
// as a delivery is stored and read as the same one.
func FuzzStoredDelivery(f *testing.F) {
	f.Add(marshalDelivery(Delivery{Method: "POST", URL: &url.URL{Path: "/i1/webhook", RawQuery: "a=1"}, Header: http.Header{"X-A": {"1"}}, Body: []byte("{}"), ReceivedAt: time.Unix(1, 0)}))
	f.Add(marshalDelivery(Delivery{}))
	f.Add([]byte{})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Add([]byte("\x02{}body"))
	f.Add([]byte("\x7f{}"))
	f.Add([]byte("\x0d{\"url\":\"%z\"}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := unmarshalDelivery(Ref{ID: "i1"}, data)
		if err != nil {
			return
		}
		if d.URL == nil || d.Header == nil || !bytes.HasSuffix(data, d.Body) {
			t.Fatalf("read is %+v", d)
		}
		d.Header = maps.Collect(storedHeaders(d.Header))
		d.URL = &url.URL{Path: d.URL.Path, RawQuery: d.URL.RawQuery}
		again, err := unmarshalDelivery(d.Ref, marshalDelivery(d))
		if err != nil {
			t.Fatalf("%+v is not read again: %v", d, err)
		}
		if again.URL.Path != d.URL.Path || again.URL.RawQuery != d.URL.RawQuery || again.Method != d.Method || !bytes.Equal(again.Body, d.Body) || !again.ReceivedAt.Equal(d.ReceivedAt) || len(again.Header) != len(d.Header) {
			t.Errorf("%+v is read as %+v", d, again)
		}
	})
}
