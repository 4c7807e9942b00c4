package bitrix24test_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
)

// discard is a response writer that costs nothing.
type discard struct {
	header http.Header
	bytes  int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(int)             {}
func (d *discard) Write(b []byte) (int, error) { d.bytes += len(b); return len(b), nil }

func benchmark(b *testing.B, body func(i int) string, method string) {
	p := bitrix24test.New(bitrix24test.Options{WebhookSecret: "s"})
	p.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 1_000_000})
	b.ReportAllocs()
	w, i := &discard{header: http.Header{}}, 0
	r := httptest.NewRequest("POST", "https://acme.bitrix24.com/rest/1/s/"+method, nil)
	r.Header.Set("Content-Type", "application/json")
	for b.Loop() {
		text := body(i)
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
		p.ServeHTTP(w, r)
		i++
	}
	b.ReportMetric(float64(w.bytes)/float64(b.N), "B/page")
}

func listBody(i int) string {
	return `{"entityTypeId":3,"order":{"id":"ASC"},"filter":{">id":` + strconv.Itoa(i%19_000*50) + `},"start":-1,"select":["*"]}`
}

// BenchmarkListPage is one page of 50 full contacts.
func BenchmarkListPage(b *testing.B) { benchmark(b, listBody, "crm.item.list") }

// BenchmarkListChanged is a page of the last of a million contacts by time of change.
func BenchmarkListChanged(b *testing.B) {
	benchmark(b, func(int) string {
		return `{"entityTypeId":3,"order":{"id":"ASC"},"filter":{">=updatedTime":"2090-01-01T00:00:00+00:00"},"start":-1}`
	}, "crm.item.list")
}

// BenchmarkBatch is a batch of ten such pages, which refer to each other.
func BenchmarkBatch(b *testing.B) {
	benchmark(b, func(int) string {
		body := `{"halt":1,"cmd":{"p0":"crm.item.list?entityTypeId=3&order[id]=ASC&filter[>id]=0&start=-1"`
		for i := range 9 {
			body += `,"p` + strconv.Itoa(i+1) + `":"crm.item.list?entityTypeId=3&order[id]=ASC&filter[>id]=$result[p` + strconv.Itoa(i) + `][items][49][id]&start=-1"`
		}
		return body + "}}"
	}, "batch")
}

// BenchmarkLoopback is what a client that only reads gets over HTTP, several requests at once.
func BenchmarkLoopback(b *testing.B) {
	s := bitrix24test.NewServer(bitrix24test.Options{})
	defer s.Close()
	s.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 1_000_000})
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			response, err := client.Post(s.WebhookURL()+"crm.item.list", "application/json", strings.NewReader(listBody(i)))
			if err != nil {
				b.Error(err)
				return
			}
			io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
	})
	b.ReportMetric(float64(50*b.N)/b.Elapsed().Seconds(), "records/s")
}
