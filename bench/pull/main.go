// Pull measures how fast records come through enlace, beside two loops that know
// the provider by heart, over loopback and without limits:
//
//   - typed: net/http and encoding/json into a struct of 30 fields
//   - split: net/http and a scanner that finds the ends of records and nothing
//     else: no validation, no ids, no checkpoint
//   - enlace: Service.Sync through an adapter, with a checkpoint after each page
//
// The server is a process of its own on the same machine. Rounds are interleaved
// and each ratio is the median of the rounds' ratios, so a busy machine moves
// all contenders alike.
//
//	go run ./bench/pull                       # speed, 200,000 records, 5 rounds
//	go run ./bench/pull -heap                 # heap after GC at 10,000 and 1,000,000 records
//	go run ./bench/pull -table                # into a SQLite table, beside a loop that only inserts
//	go run ./bench/pull -table -heap          # heap of that
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/rawjson"
	"github.com/enlace-go/enlace/store/memory"
)

const pageSize = 50

func main() {
	log.SetFlags(0)
	serve := flag.Bool("serve", false, "be the server (used by this program itself)")
	records := flag.Int("records", 200_000, "records in a pull")
	rounds := flag.Int("rounds", 5, "interleaved rounds")
	heap := flag.Bool("heap", false, "measure the heap instead of the speed")
	intoTable := flag.Bool("table", false, "write the records into a SQLite table")
	profile := flag.String("cpuprofile", "", "write a CPU profile")
	flag.Parse()
	if *profile != "" {
		f, _ := os.Create(*profile)
		_ = pprof.StartCPUProfile(f)
		defer pprof.StopCPUProfile()
	}
	if *serve {
		log.Fatal(listen())
	}
	base, stop, err := startServer()
	if err != nil {
		log.Fatal(err)
	}
	defer stop()
	switch {
	case *heap && *intoTable:
		err = measureTableHeap(base)
	case *intoTable:
		err = measureTable(base, *records, *rounds)
	case *heap:
		err = measureHeap(base)
	default:
		err = measureSpeed(base, *records, *rounds)
	}
	if err != nil {
		stop()
		log.Fatal(err)
	}
}

// measureSpeed runs all contenders in each round and prints their medians.
func measureSpeed(base string, records, rounds int) error {
	contenders := []struct {
		name string
		pull func(base string, records int) (int, error)
	}{{"typed", pullTyped}, {"split", pullSplit}, {"enlace", pullEnlace}}
	rates := map[string][]float64{}
	for round := range rounds + 1 {
		for _, c := range contenders {
			runtime.GC()
			started := time.Now()
			n, err := c.pull(base, records)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if n != records {
				return fmt.Errorf("%s read %d records of %d", c.name, n, records)
			}
			if round > 0 { // the first round warms up
				rates[c.name] = append(rates[c.name], float64(n)/time.Since(started).Seconds())
			}
		}
	}
	for _, c := range contenders {
		fmt.Printf("%-7s %8.0f records/s   %.2f x typed   %.2f x split\n", c.name, median(rates[c.name]),
			median(ratios(rates[c.name], rates["typed"])), median(ratios(rates[c.name], rates["split"])))
	}
	return nil
}

// measureHeap prints the heap after a collection in the last tenth of pulls of
// different lengths: the median of 20 samples, since a page more or less in
// flight is a sixth of it. One pull before warms up what is kept for good.
func measureHeap(base string) error {
	service, err := newService()
	if err != nil {
		return err
	}
	var first float64
	for _, records := range []int{10_000, 10_000, 100_000, 1_000_000} {
		var samples []float64
		pages, total := 0, records/pageSize
		n, err := pullInto(service, base, records, func() {
			if pages++; pages > total*9/10 && pages%max(1, total/200) == 0 {
				runtime.GC()
				runtime.GC() // what pools hold goes in the second one
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				samples = append(samples, float64(m.HeapAlloc))
			}
		})
		if err != nil {
			return err
		}
		if first == 0 {
			first = 1
			continue
		}
		if first == 1 {
			first = median(samples)
			fmt.Printf("a page is %d bytes\n", len(makePage(0)))
		}
		fmt.Printf("%9d records: heap after GC %.3f MiB, %.2f x the first\n", n, median(samples)/(1<<20), median(samples)/first)
	}
	return nil
}

func ratios(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] / b[i]
	}
	return out
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// contact has the 30 fields of a record.
type contact struct {
	ID      string `json:"id"`
	Updated string `json:"updated"`
	F01     string `json:"f01"`
	F02     string `json:"f02"`
	F03     string `json:"f03"`
	F04     string `json:"f04"`
	F05     string `json:"f05"`
	F06     string `json:"f06"`
	F07     string `json:"f07"`
	F08     string `json:"f08"`
	F09     string `json:"f09"`
	F10     string `json:"f10"`
	F11     string `json:"f11"`
	F12     string `json:"f12"`
	F13     string `json:"f13"`
	F14     string `json:"f14"`
	F15     string `json:"f15"`
	F16     string `json:"f16"`
	F17     string `json:"f17"`
	F18     string `json:"f18"`
	F19     string `json:"f19"`
	F20     string `json:"f20"`
	F21     string `json:"f21"`
	F22     string `json:"f22"`
	F23     string `json:"f23"`
	F24     string `json:"f24"`
	F25     string `json:"f25"`
	F26     string `json:"f26"`
	F27     string `json:"f27"`
	F28     string `json:"f28"`
}

func pullTyped(base string, records int) (int, error) {
	client := &http.Client{}
	defer client.CloseIdleConnections()
	read := 0
	for next := "contacts?left=" + strconv.Itoa(records); next != ""; {
		resp, err := client.Get(base + next)
		if err != nil {
			return read, err
		}
		var page struct {
			Items []contact `json:"items"`
			Next  string    `json:"next"`
		}
		err = json.NewDecoder(resp.Body).Decode(&page)
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			return read, err
		}
		read += len(page.Items)
		next = page.Next
	}
	return read, nil
}

func pullSplit(base string, records int) (int, error) {
	client := &http.Client{}
	defer client.CloseIdleConnections()
	read := 0
	body := make([]byte, 0, 64<<10)
	for next := "contacts?left=" + strconv.Itoa(records); next != ""; {
		resp, err := client.Get(base + next)
		if err != nil {
			return read, err
		}
		body = body[:0]
		if n := int(resp.ContentLength); n > cap(body) {
			body = make([]byte, 0, n)
		}
		body = body[:resp.ContentLength]
		_, err = io.ReadFull(resp.Body, body)
		_ = resp.Body.Close()
		if err != nil {
			return read, err
		}
		var n int
		n, next = split(body)
		read += n
	}
	return read, nil
}

// split counts the records of a page and takes its link, looking at nothing but
// strings and braces. The page's link stands behind the records.
func split(body []byte) (records int, next string) {
	depth, inString, start := 0, false, 0
	var lastString []byte
	for i := 0; i < len(body); i++ {
		c := body[i]
		if inString {
			if c == '\\' {
				i++
			} else if c == '"' {
				inString = false
				lastString = body[start:i]
			}
			continue
		}
		switch c {
		case '"':
			inString, start = true, i+1
		case '{':
			depth++
		case '}':
			if depth == 2 {
				records++
			}
			depth--
		}
	}
	if string(lastString) == "next" {
		return records, ""
	}
	return records, string(lastString)
}

// adapter is what an adapter for such a provider looks like.
type adapter struct{}

func (adapter) Describe() enlace.Descriptor {
	return enlace.Descriptor{Name: "bench", Title: "Bench", BaseURL: "https://bench.invalid/",
		Auth:     []enlace.AuthScheme{enlace.APIKey{Place: enlace.BearerHeader()}},
		Settings: []enlace.Field{{Name: "records", Kind: enlace.FieldInteger, Required: true}, {Name: "unique", Kind: enlace.FieldInteger}},
		Entities: []enlace.Entity{{Name: "contacts", Operations: []enlace.Operation{enlace.OpRead}}}}
}

func (adapter) Pull(ctx context.Context, c *enlace.Conn, req enlace.PullRequest) (enlace.Page, error) {
	link, err := url.Parse(cmp.Or(string(req.Cursor), "contacts?unique="+c.Setting("unique")+"&left="+c.Setting("records")))
	if err != nil {
		return enlace.Page{}, err
	}
	var body json.RawMessage
	if err := c.Do(ctx, enlace.Call{Path: "contacts", Query: link.Query()}, &body); err != nil {
		return enlace.Page{}, err
	}
	records, next, err := parsePage(body)
	return enlace.Page{Records: records, Next: enlace.Cursor(next), Done: next == ""}, err
}

// parsePage finds the records of a page and its link.
func parsePage(body []byte) (records []enlace.Record, next string, err error) {
	records = make([]enlace.Record, 0, pageSize)
	s := rawjson.NewScanner(body)
	for key := range s.Object() {
		switch string(key) {
		case "next":
			next, _ = rawjson.String(s.Value())
		case "items":
			for range s.Array() {
				records = append(records, record(s))
			}
		}
	}
	return records, next, s.End()
}

func record(s *rawjson.Scanner) enlace.Record {
	r := enlace.Record{Entity: "contacts"}
	start := s.Offset()
	for key := range s.Object() {
		switch string(key) {
		case "id":
			r.ID, _ = rawjson.ID(s.Value())
		case "updated":
			if raw := s.Value(); len(raw) > 2 {
				r.Modified, _ = time.Parse(time.RFC3339, string(raw[1:len(raw)-1]))
			}
		}
	}
	r.Data = s.Since(start)
	return r
}

func pullEnlace(base string, records int) (int, error) {
	service, err := newService()
	if err != nil {
		return 0, err
	}
	return pullInto(service, base, records, func() {})
}

func newService() (*enlace.Service, error) {
	key, err := enlace.ParseKey(enlace.GenerateKey())
	if err != nil {
		return nil, err
	}
	keys, err := enlace.NewKeyring(key)
	if err != nil {
		return nil, err
	}
	return enlace.New(enlace.Config{Registry: enlace.NewRegistry(adapter{}), Store: memory.New(), Keys: keys,
		Egress: enlace.Egress{AllowPrefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}})
}

func pullInto(service *enlace.Service, base string, records int, eachPage func()) (int, error) {
	ctx := context.Background()
	in, err := service.Create(ctx, enlace.NewIntegration{Provider: "bench",
		Settings:   map[string]string{"apiUrl": base, "records": strconv.Itoa(records)},
		Credential: &enlace.Credential{Secrets: map[string]enlace.Secret{"api_key": enlace.NewSecret("not-a-secret")}}})
	if err != nil {
		return 0, err
	}
	read := 0
	_, err = service.Sync(ctx, in.Ref, enlace.SyncOptions{Untracked: true, Sink: enlace.SinkFunc(
		func(_ context.Context, b enlace.Batch) (enlace.Changes, error) {
			read += len(b.Records)
			eachPage()
			return enlace.Changes{}, nil
		})})
	return read, err
}

// startServer runs this program as the server, in a process of its own.
func startServer() (base string, stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	child := exec.Command(self, "-serve")
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := child.Start(); err != nil {
		return "", nil, err
	}
	stop = func() { _ = child.Process.Kill(); _ = child.Wait() }
	if _, err := fmt.Fscanln(out, &base); err != nil {
		stop()
		return "", nil, err
	}
	return base, stop, nil
}

// listen serves pages until the process is killed. A page is made once; only its
// link differs from request to request.
func listen() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s/\n", l.Addr())
	var pages [16][]byte
	for i := range pages {
		pages[i] = makePage(i)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /contacts", func(w http.ResponseWriter, r *http.Request) {
		left, err := strconv.Atoi(r.FormValue("left"))
		if err != nil {
			http.Error(w, "left is not a number", http.StatusBadRequest)
			return
		}
		page := pages[(left/pageSize)%len(pages)]
		next, link := `"}`, "contacts?left="
		if total, _ := strconv.Atoi(r.FormValue("unique")); total > 0 { // ids that do not come again
			page, link = withIDs(page, 1_000_000+total-left), "contacts?unique="+strconv.Itoa(total)+"&left="
		}
		if left > pageSize {
			next = link + strconv.Itoa(left-pageSize) + next
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(page)+len(next)))
		_, _ = w.Write(page)
		_, _ = io.WriteString(w, next)
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	return server.Serve(l)
}

// withIDs is the page with other ids, of as many digits.
func withIDs(page []byte, first int) []byte {
	page = bytes.Clone(page)
	mark := []byte(`"id":"`)
	for at := 0; ; first++ {
		i := bytes.Index(page[at:], mark)
		if i < 0 {
			return page
		}
		at += i + len(mark)
		copy(page[at:at+7], strconv.Itoa(first))
	}
}

// makePage is 50 records of about 1 KB: 30 string members, one escape and some
// Cyrillic in each, with lengths that vary.
func makePage(seed int) []byte {
	page := []byte(`{"items":[`)
	for i := range pageSize {
		if i > 0 {
			page = append(page, ',')
		}
		page = fmt.Appendf(page, `{"id":"%d","updated":"2026-05-%02dT10:00:00Z"`, 1_000_000+seed*pageSize+i, 1+i%28)
		for f := 1; f <= 28; f++ {
			value := "value " + strconv.Itoa(f*i) + " of a field with some length"[:6+(f*7+i*3+seed)%22]
			switch f {
			case 5:
				value = `Rua \"das Flores\" ` + strconv.Itoa(i)
			case 9:
				value = "Иванова Мария"
			}
			page = fmt.Appendf(page, `,"f%02d":"%s"`, f, value)
		}
		page = append(page, '}')
	}
	return append(page, `],"next":"`...)
}
