package rdstationtest

import "github.com/enlace-go/enlace/internal/fakehttp"

// Server is an account that listens on the loopback interface, all its hosts on one port.
type Server struct {
	*Account
	URL string // of the API, the authorization servers and the CRM v1, without a slash at the end

	http *fakehttp.Server
}

// NewServer starts a server, which the caller ends with [Server.Close]. Its address is plain HTTP
// and replaces those in options. It panics if it cannot listen on 127.0.0.1.
func NewServer(options Options) *Server {
	listener := fakehttp.Listen()
	s := &Server{URL: fakehttp.Address(listener)}
	options.APIBase, options.AccountsBase, options.CRMv1Base = s.URL, s.URL, s.URL
	s.Account = New(options)
	s.http = fakehttp.Serve(s.Account, listener)
	return s
}

// Close breaks all connections, gives up what webhooks are still due, and returns when nothing of
// the server runs any more.
func (s *Server) Close() {
	s.http.Close()
	s.Account.Close()
}
