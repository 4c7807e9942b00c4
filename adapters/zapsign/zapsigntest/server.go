package zapsigntest

import "github.com/enlace-go/enlace/internal/fakehttp"

// Server is an API that listens on the loopback interface: sandbox, production and file links
// have a port each.
type Server struct {
	*API
	URL string // of the API of the first account's environment, without path or slash at the end

	http *fakehttp.Server
}

// NewServer starts a server, which the caller ends with [Server.Close]. Its addresses are plain
// HTTP and replace those in options. It panics if it cannot listen on 127.0.0.1.
func NewServer(options Options) *Server {
	s := &Server{}
	sandbox, production, files := fakehttp.Listen(), fakehttp.Listen(), fakehttp.Listen()
	address := fakehttp.Address
	options.Addresses = Addresses{
		Sandbox: address(sandbox), SandboxApp: address(sandbox),
		Production: address(production), BrazilProduction: address(production), ProductionApp: address(production),
		Files: address(files),
	}
	s.API = New(options)
	s.URL = address(sandbox)
	if s.accounts[0].Production {
		s.URL = address(production)
	}
	s.http = fakehttp.Serve(s.API, sandbox, production, files)
	return s
}

// Close ends the deliveries as [API.Close] does, breaks all connections and returns when nothing
// of the server runs any more.
func (s *Server) Close() {
	s.API.Close()
	s.http.Close()
}
