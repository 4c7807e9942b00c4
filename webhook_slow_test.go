package enlace_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
)

// pipes is a listener whose connections are in memory, so that their deadlines are of
// virtual time.
type pipes struct {
	accepted chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accepted:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(203, 0, 113, 9), Port: 1} }

// dial begins a request that promises a body and sends a byte of it each second, and gives
// its answer.
func (p *pipes) dial(path string) <-chan *http.Response {
	client, server := net.Pipe()
	p.accepted <- server
	answers := make(chan *http.Response, 1)
	ended := make(chan struct{})
	go func() { // the answer may come before the body is sent
		defer close(ended)
		defer close(answers)
		defer client.Close()
		answer, err := http.ReadResponse(bufio.NewReader(client), nil)
		if err == nil {
			_, _ = io.Copy(io.Discard, answer.Body)
			answers <- answer
		}
	}()
	go func() {
		_, err := fmt.Fprintf(client, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n", path)
		for err == nil {
			select {
			case <-ended:
				return
			case <-time.After(time.Second):
				_, err = client.Write([]byte("x"))
			}
		}
	}()
	return answers
}

// Bodies that do not come are given up at their time, and hold no more memory until then
// than all bodies may; what is genuine is taken meanwhile.
func TestSlowBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHookHost(t, hooks{}, func(c *enlace.Config) { c.Webhooks.BodyTimeout, c.Webhooks.MaxInFlight = 10*time.Second, 40_000 })
		listener := &pipes{accepted: make(chan net.Conn), closed: make(chan struct{})}
		server := &http.Server{Handler: h.handler}
		var serving sync.WaitGroup
		serving.Go(func() { _ = server.Serve(listener) })
		defer serving.Wait()
		defer server.Close()
		path := "/" + h.in.ID + "/webhook"
		began := time.Now()
		var slow []<-chan *http.Response
		for range 4 {
			slow = append(slow, listener.dial(path))
			synctest.Wait()
		}
		h.deliver("[]") // what is left is enough for a small one
		if answer := <-listener.dial(path); answer == nil || answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" {
			t.Errorf("a body too many: %+v", answer)
		}
		for i, answers := range slow {
			answer := <-answers
			if answer == nil || answer.StatusCode != http.StatusRequestTimeout || !answer.Close {
				t.Errorf("slow body %d: %+v", i, answer)
			}
		}
		if took := time.Since(began); took < 10*time.Second || took > 11*time.Second {
			t.Errorf("they were given up after %v", took)
		}
		var reasons []string
		for _, o := range observedAs[enlace.WebhookRefused](h.host) {
			reasons = append(reasons, o.Reason)
		}
		if fmt.Sprint(reasons) != "[busy slow slow slow slow]" {
			t.Errorf("refused: %q", reasons)
		}
		again := listener.dial(path) // there is memory again
		synctest.Wait()
		h.deliver("[1]")
		if answer := <-again; answer == nil || answer.StatusCode != http.StatusRequestTimeout {
			t.Errorf("afterwards: %+v", answer)
		}
	})
}
