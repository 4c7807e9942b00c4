package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/mapping"
	"github.com/enlace-go/enlace/mapping/live"
	"github.com/enlace-go/enlace/store/sqlite"
)

// measureTable pulls into a SQLite table: once by a loop that reads the pages and
// inserts each record, all of a page in one transaction, and does nothing else; and
// by Service.Sync into a Table, which maps, compares every record with its state,
// keeps the run's record and moves the checkpoint in the page's transaction; with a
// mapping and without one.
func measureTable(base string, records, rounds int) error {
	contenders := []struct {
		name string
		pull func(base string, records int) error
	}{
		{"loop", loopIntoTable},
		{"enlace, unmapped", func(base string, records int) error { return enlaceIntoTable(base, records, false, nil) }},
		{"enlace, mapped", func(base string, records int) error { return enlaceIntoTable(base, records, true, nil) }},
	}
	rates, spent := map[string][]float64{}, map[string][]float64{}
	for round := range rounds + 1 {
		for _, c := range contenders {
			runtime.GC()
			started, used := time.Now(), processorTime()
			if err := c.pull(base, records); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if round > 0 { // the first round warms up
				rates[c.name] = append(rates[c.name], float64(records)/time.Since(started).Seconds())
				spent[c.name] = append(spent[c.name], float64(records)/(processorTime()-used).Seconds())
			}
		}
	}
	for _, c := range contenders {
		fmt.Printf("%-17s %8.0f records/s   %.2f x loop   %8.0f a second of processor time, %.2f x loop\n", c.name,
			median(rates[c.name]), median(ratios(rates[c.name], rates["loop"])), median(spent[c.name]), median(ratios(spent[c.name], spent["loop"])))
	}
	return nil
}

// processorTime is what this process has used. It says more than the clock where others
// are at work.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// measureTableHeap is measureHeap for a pull into a table.
func measureTableHeap(base string) error {
	var first float64
	for _, records := range []int{10_000, 100_000, 1_000_000} {
		var samples []float64
		pages, total := 0, records/pageSize
		err := enlaceIntoTable(base, records, true, func() {
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
			first = median(samples)
		}
		fmt.Printf("%9d records: heap after GC %.3f MiB, %.2f x the first\n", records, median(samples)/(1<<20), median(samples)/first)
	}
	return nil
}

// withStore runs fn with a new file that is removed afterwards.
func withStore(fn func(ctx context.Context, store *sqlite.Store) error) error {
	directory, err := os.MkdirTemp("", "pull")
	if err != nil {
		return err
	}
	defer os.RemoveAll(directory)
	ctx := context.Background()
	store, err := sqlite.Open(ctx, filepath.Join(directory, "bench.db"), sqlite.Options{})
	if err != nil {
		return err
	}
	defer store.Close()
	return fn(ctx, store)
}

// loopIntoTable is what somebody writes who needs nothing but the rows: the same
// table, the same settings of the file, one prepared statement.
func loopIntoTable(base string, records int) error {
	return withStore(func(ctx context.Context, store *sqlite.Store) error {
		db := store.DB()
		db.SetMaxOpenConns(1)
		if _, err := sqlite.NewTable(ctx, store, "contacts"); err != nil {
			return err
		}
		insert, err := db.Prepare(`INSERT INTO contacts (tenant, integration, entity, id, data, modified, deleted, synced_at)
			VALUES ('', 'one', 'contacts', ?, ?, ?, 0, ?)`)
		if err != nil {
			return err
		}
		defer insert.Close()
		client := &http.Client{}
		defer client.CloseIdleConnections()
		for next, read := fmt.Sprintf("contacts?unique=%d&left=%d", records, records), 0; next != ""; {
			body, err := get(client, base+next)
			if err != nil {
				return err
			}
			var page []enlace.Record
			if page, next, err = parsePage(body); err != nil {
				return err
			}
			tx, err := db.Begin()
			if err != nil {
				return err
			}
			statement, now := tx.Stmt(insert), time.Now().UnixMicro()
			for _, r := range page {
				if _, err := statement.Exec(r.ID, string(r.Data), r.Modified.UnixMicro(), now); err != nil {
					return err
				}
			}
			if err := tx.Commit(); err != nil {
				return err
			}
			if read += len(page); next == "" && read != records {
				return fmt.Errorf("read %d records of %d", read, records)
			}
		}
		return checkRows(ctx, store, records)
	})
}

func get(client *http.Client, address string) ([]byte, error) {
	resp, err := client.Get(address)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body := make([]byte, resp.ContentLength)
	_, err = io.ReadFull(resp.Body, body)
	return body, err
}

func enlaceIntoTable(base string, records int, mapped bool, eachPage func()) error {
	return withStore(func(ctx context.Context, store *sqlite.Store) error {
		key, err := enlace.ParseKey(enlace.GenerateKey())
		if err != nil {
			return err
		}
		keys, err := enlace.NewKeyring(key)
		if err != nil {
			return err
		}
		service, err := enlace.New(enlace.Config{Registry: enlace.NewRegistry(adapter{}), Store: store, Keys: keys, Mappings: live.Engine{},
			Egress: enlace.Egress{AllowPrefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}})
		if err != nil {
			return err
		}
		table, err := sqlite.NewTable(ctx, store, "contacts")
		if err != nil {
			return err
		}
		in, err := service.Create(ctx, enlace.NewIntegration{Provider: "bench",
			Settings:   map[string]string{"apiUrl": base, "records": strconv.Itoa(records), "unique": strconv.Itoa(records)},
			Credential: &enlace.Credential{Secrets: map[string]enlace.Secret{"api_key": enlace.NewSecret("not-a-secret")}}})
		if err != nil {
			return err
		}
		if mapped {
			if err := activateMapping(ctx, service, in.Ref); err != nil {
				return err
			}
		}
		result, err := service.Sync(ctx, in.Ref, enlace.SyncOptions{Sink: table, Progress: func(enlace.Progress) {
			if eachPage != nil {
				eachPage()
			}
		}})
		if err != nil {
			return err
		}
		if r := result.Entities["contacts"]; r.Created != records {
			return fmt.Errorf("%+v, want %d created", r, records)
		}
		return checkRows(ctx, store, records)
	})
}

// activateMapping maps all fields to others, so that the rows are as long.
func activateMapping(ctx context.Context, service *enlace.Service, ref enlace.Ref) error {
	m := mapping.Mapping{Name: "bench/contacts", Version: 1, Fields: []mapping.Field{
		{From: "id", To: "external_id", Type: mapping.ID, Required: true},
		{From: "updated", To: "updated_at", Type: mapping.Time},
	}}
	for f := 1; f <= 28; f++ {
		m.Fields = append(m.Fields, mapping.Field{From: fmt.Sprintf("f%02d", f), To: fmt.Sprintf("field.%d", f), Type: mapping.Text})
	}
	document, err := live.Document(m)
	if err != nil {
		return err
	}
	v, err := service.SaveMapping(ctx, enlace.MappingVersion{Ref: ref, Entity: "contacts", Document: document})
	if err != nil {
		return err
	}
	_, err = service.ActivateMapping(ctx, v)
	return err
}

func checkRows(ctx context.Context, store *sqlite.Store, records int) error {
	var n int
	err := store.DB().QueryRowContext(ctx, `SELECT count(*) FROM contacts`).Scan(&n)
	if err == nil && n != records {
		err = fmt.Errorf("%d rows, want %d", n, records)
	}
	return err
}
