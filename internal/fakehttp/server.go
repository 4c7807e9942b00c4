package fakehttp

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Listen opens a port of the loopback interface. It panics if there is none.
func Listen() net.Listener {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(fmt.Sprintf("fakehttp: cannot listen on the loopback interface: %v", err))
	}
	return listener
}

// Address is where a listener is reached, without a slash at the end.
func Address(l net.Listener) string { return "http://" + l.Addr().String() }

// Server serves one handler on any number of ports.
type Server struct {
	http      *http.Server
	listening sync.WaitGroup // the accept loops
	running   sync.WaitGroup // the connections
}

// Serve starts a server, which the caller ends with [Server.Close].
func Serve(handler http.Handler, listeners ...net.Listener) *Server {
	s := &Server{}
	s.http = &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ConnState: s.track}
	for _, listener := range listeners {
		s.Add(listener)
	}
	return s
}

// Add serves one more port.
func (s *Server) Add(listener net.Listener) {
	s.listening.Go(func() { s.http.Serve(listener) })
}

// track counts the connections; the accept loops report new ones, so none comes
// when they are over.
func (s *Server) track(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.running.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.running.Done()
	}
}

// Close breaks all connections and returns when nothing of the server runs any more.
func (s *Server) Close() {
	s.http.Close()
	s.listening.Wait()
	s.running.Wait()
}

// Reset ends the connection so that the client sees a reset where the transport
// allows it.
func Reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, isTCP := conn.(*net.TCPConn); isTCP {
		tcp.SetLinger(0)
	}
	conn.Close()
}
