package enlace

import (
	"bytes"
	"compress/gzip"
	"io"
	"mime"
	"net/http"
	"net/http/httptest"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"
)

// bodyService reads bodies and does nothing else.
func bodyService(maxBody, maxInFlight int64) *Service {
	s := &Service{}
	s.prepareWebhooks(WebhookConfig{MaxBody: maxBody, MaxInFlight: maxInFlight}.withDefaults())
	return s
}

func statusOf(err error) int {
	if r, ok := err.(*refusal); ok {
		return r.status
	}
	return 0
}

// tenGiB is a gzip file of 10 GiB of zeros, of about 10 MiB. Deflate packs no better than
// 1,032 to 1; each MiB is the same packed block again, which refers to nothing before it.
func tenGiB(t testing.TB) []byte {
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(make([]byte, 16<<20)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return bytes.Repeat(packed.Bytes(), 10<<30/(16<<20)) // members one after the other are one file
}

// counted counts what is read of a body.
type counted struct {
	io.Reader
	read int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.read += int64(n)
	return n, err
}

// A gzip bomb of 10 GiB costs at most 32 MiB, however much of it a host lets in, and is
// not read to its end.
func TestGzipBomb(t *testing.T) {
	bomb := tenGiB(t)
	t.Logf("the bomb has %d bytes", len(bomb))
	for _, test := range []struct {
		maxBody  int64
		length   int64 // as the sender tells it; -1 in chunks
		mostRead int64
	}{
		{1 << 20, int64(len(bomb)), 0}, // as it is without configuration
		{1 << 20, -1, 64 << 10},
		{11 << 20, int64(len(bomb)), 64 << 10},
		{11 << 20, -1, 64 << 10},
	} {
		s := bodyService(test.maxBody, 0)
		body := &counted{Reader: bytes.NewReader(bomb)}
		r := httptest.NewRequest("POST", "/", body)
		r.ContentLength = test.length
		r.Header.Set("Content-Encoding", "gzip")
		before := allocated()
		unpacked, held, err := s.readBody(httptest.NewRecorder(), r, WebhookTerms{Gzip: true})
		took := allocated() - before
		t.Logf("MaxBody %d, length %d: %d bytes read, %d allocated in all", test.maxBody, test.length, body.read, took)
		if unpacked != nil || statusOf(err) != http.StatusRequestEntityTooLarge {
			t.Errorf("MaxBody %d, length %d: %v", test.maxBody, test.length, err)
		}
		if body.read > test.mostRead {
			t.Errorf("MaxBody %d, length %d: %d bytes are read, want %d at most", test.maxBody, test.length, body.read, test.mostRead)
		}
		// All that was ever allocated: what was in use at once is no more.
		if took > 32<<20 {
			t.Errorf("MaxBody %d, length %d: it cost %d bytes", test.maxBody, test.length, took)
		}
		if s.inFlight.give(held); s.inFlight.left.Load() != s.webhooks.MaxInFlight {
			t.Errorf("%d bytes of the budget are left of %d", s.inFlight.left.Load(), s.webhooks.MaxInFlight)
		}
	}
}

// allocated is how many bytes this process has ever allocated.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// Whatever comes as a body, packed or not, no more than the bounds of it is taken, the
// budget is as before, and what is taken is what was sent.
func FuzzReadBody(f *testing.F) {
	f.Add([]byte("{}"), false, true)
	f.Add(bytes.Repeat([]byte("x"), 5000), false, false)
	f.Add(packed([]byte("[1]")), true, true)
	f.Add(packed(make([]byte, 100_000)), true, false)
	f.Add(append(packed([]byte("a")), packed([]byte("b"))...), true, true)
	f.Add(packed([]byte("[1]"))[:15], true, true)
	f.Add([]byte("\x1f\x8b\x08"), true, false)
	f.Fuzz(func(t *testing.T, sent []byte, zipped, told bool) {
		const limit = 4000
		s := bodyService(limit, 1<<20)
		r := httptest.NewRequest("POST", "/", bytes.NewReader(sent))
		if r.ContentLength = int64(len(sent)); !told {
			r.ContentLength = -1
		}
		if zipped {
			r.Header.Set("Content-Encoding", "gzip")
		}
		body, held, err := s.readBody(httptest.NewRecorder(), r, WebhookTerms{Gzip: true})
		s.inFlight.give(held)
		if left := s.inFlight.left.Load(); left != 1<<20 || int64(cap(body)) > held {
			t.Errorf("%d bytes of the budget are left; %d were held for %d", left, held, cap(body))
		}
		want, wantErr := sent, error(nil)
		if zipped {
			z, err := gzip.NewReader(bytes.NewReader(sent))
			if wantErr = err; err == nil {
				want, wantErr = io.ReadAll(io.LimitReader(z, limit+1))
			}
		}
		switch {
		case err == nil:
			if wantErr != nil || !bytes.Equal(body, want) || len(body) > limit {
				t.Errorf("taken are %d bytes, want %d (%v)", len(body), len(want), wantErr)
			}
		case statusOf(err) == http.StatusRequestEntityTooLarge:
			if len(sent) <= limit && len(want) <= limit {
				t.Errorf("%d bytes, which become %d, are too many", len(sent), len(want))
			}
		case statusOf(err) == http.StatusBadRequest:
			if !zipped || wantErr == nil {
				t.Errorf("refused: %v; read by others with %v", err, wantErr)
			}
		default:
			t.Errorf("refused: %v", err)
		}
	})
}

func packed(data []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(data)
	_ = z.Close()
	return b.Bytes()
}

// Whatever stands in Content-Type, only types of text that are no multipart are taken, and
// by one parser's word: that of the standard library.
func FuzzContentType(f *testing.F) {
	for _, text := range []string{"", "application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "text/plain", "application/vnd.api+json;version=1",
		"application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "image/png", "application/json, text/html", "application/json;=", "/", ";", "text/\x00"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		err := checkContentType(http.Header{"Content-Type": {text}})
		if status := statusOf(err); err != nil && status != http.StatusUnsupportedMediaType {
			t.Fatalf("%q: %v", text, err)
		}
		kind, _, _ := mime.ParseMediaType(text)
		family, sub, _ := strings.Cut(kind, "/")
		plausible := text == "" || family == "text" || (family == "application" && (slices.Contains([]string{"json", "xml", "x-www-form-urlencoded"}, sub) ||
			strings.HasSuffix(sub, "+json") || strings.HasSuffix(sub, "+xml")))
		if err == nil && !plausible {
			t.Errorf("%q is taken", text)
		}
		if checkContentType(http.Header{"Content-Type": {text, text}}) == nil {
			t.Errorf("%q twice is taken", text)
		}
		if form := isForm(http.Header{"Content-Type": {text}}); form != (kind == "application/x-www-form-urlencoded") {
			t.Errorf("%q is a form: %v", text, form)
		}
	})
}

// Whatever the path is, only one that ends as documented names an endpoint, with a name
// that can stand in a path as it is.
func FuzzEndpointName(f *testing.F) {
	for _, path := range []string{"/integrations/i1/webhook", "/i1/webhook/token", "/webhook", "//webhook", "/webhook/webhook", "/webhook/webhook/webhook", "", "/i1/webhook/", "/a.b/webhook", "i1/webhook"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		name, ok := endpointName(path)
		if !ok {
			return
		}
		if name == "" || len(name) > 128 || strings.ContainsAny(name, "/.%?# \x00") {
			t.Errorf("%q names %q", path, name)
		}
		rest, _ := strings.CutPrefix("/"+path, "/")
		last := path[strings.LastIndexByte(path, '/')+1:]
		if last != webhookSegment && !strings.HasSuffix(strings.TrimSuffix(rest, "/"+last), name+"/"+webhookSegment) {
			t.Errorf("%q names %q", path, name)
		}
	})
}
