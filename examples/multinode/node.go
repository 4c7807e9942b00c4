package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
	"github.com/enlace-go/enlace/engine/river"
	"github.com/enlace-go/enlace/store/postgres"
)

// nodeVariable makes this program a node: its value is a nodeConfig.
const nodeVariable = "ENLACE_EXAMPLE_NODE"

// nodeConfig is what every process of the host is told.
type nodeConfig struct {
	DSN   string
	Key   string        // seals; a host has it from a file or a key service
	Lease time.Duration // 0 is the library's defaults
	// River spreads the work by engine/river; else each process looks for itself.
	River bool
	Log   bool
}

// serveNode is the host application: each of its processes takes webhooks and shares
// the background work with the others.
func serveNode(ctx context.Context, c nodeConfig) error {
	var store *postgres.Store
	var service *enlace.Service
	err := persist(ctx, func() (err error) { // the database may be away for a while
		if store, err = postgres.Open(ctx, c.DSN, postgres.Options{}); err == nil {
			service, err = newService(ctx, c, store)
		}
		return err
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { _ = service.Run(ctx) }()
	fmt.Println(listener.Addr())
	server := &http.Server{Handler: service.WebhookHandler(), ReadHeaderTimeout: 5 * time.Second}
	return server.Serve(listener)
}

// newService makes the service that all processes have.
func newService(ctx context.Context, c nodeConfig, store *postgres.Store) (*enlace.Service, error) {
	key, err := enlace.ParseKey(enlace.NewSecret(c.Key))
	if err != nil {
		return nil, err
	}
	keys, err := enlace.NewKeyring(key)
	if err != nil {
		return nil, err
	}
	sink, err := postgres.NewTable(ctx, store, "contacts")
	if err != nil {
		return nil, err
	}
	config := enlace.Config{
		Registry: enlace.NewRegistry(fake.Adapter{}), Store: store, Keys: keys, Sink: sink, RunLease: c.Lease,
		Egress:   enlace.Egress{AllowPrefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, // where the fakes are
		Webhooks: enlace.WebhookConfig{Lease: c.Lease, Processors: []enlace.Processor{{HandleTx: noteEffect(store)}}},
	}
	if c.Log {
		config.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	if c.River {
		if config.Engine, err = river.New(ctx, store, river.Options{RescueAfter: c.Lease, Logger: config.Logger}); err != nil {
			return nil, err
		}
	}
	return enlace.New(config)
}

// noteEffect writes down an event in the transaction that marks its delivery done. The
// table would take it twice.
func noteEffect(store *postgres.Store) enlace.EventHandler {
	return func(ctx context.Context, e enlace.ReceivedEvent) error {
		tx, ok := store.Tx(ctx)
		if !ok {
			return errors.New("not in a transaction of this store")
		}
		_, err := tx.Exec(ctx, `INSERT INTO effects (event) VALUES ($1)`, e.Event.ID)
		return err
	}
}

// nodes are the processes of the host, seen from outside.
type nodes struct {
	config  string
	mu      sync.Mutex
	address []string // of each; empty while it does not listen
	process []*exec.Cmd
}

// start starts the node with that number; it does not wait until it listens.
func (n *nodes) start(number int) error {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), nodeVariable+"="+n.config)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if _, err := cmd.StdinPipe(); err != nil { // it ends when this process does
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.process[number] = cmd
	go func() { // ends with the process
		line, err := bufio.NewReader(out).ReadString('\n')
		n.mu.Lock()
		defer n.mu.Unlock()
		if err == nil && n.process[number] == cmd {
			n.address[number] = strings.TrimSpace(line)
		}
	}()
	return nil
}

// startAll starts all of them and waits until they listen.
func (n *nodes) startAll(ctx context.Context) error {
	for number := range n.process {
		if err := n.start(number); err != nil {
			return err
		}
	}
	return persist(ctx, func() error {
		if n.listening() < len(n.process) {
			return errors.New("not all nodes listen yet")
		}
		return nil
	})
}

// kill ends a node without warning.
func (n *nodes) kill(number int) {
	n.mu.Lock()
	cmd := n.process[number]
	n.process[number], n.address[number] = nil, ""
	n.mu.Unlock()
	if cmd != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

func (n *nodes) killAll() {
	for number := range n.process {
		n.kill(number)
	}
}

// pick is the address of any node that listens; empty if none does.
func (n *nodes) pick() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	from := rand.IntN(len(n.address))
	for i := range n.address {
		if address := n.address[(from+i)%len(n.address)]; address != "" {
			return address
		}
	}
	return ""
}

func (n *nodes) listening() (count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, address := range n.address {
		if address != "" {
			count++
		}
	}
	return count
}

func newNodes(c nodeConfig, count int) (*nodes, error) {
	text, err := json.Marshal(c)
	return &nodes{config: string(text), address: make([]string, count), process: make([]*exec.Cmd, count)}, err
}

// untilInputEnds is a context that ends when the process that started this one does.
func untilInputEnds(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	return ctx
}
