package fakehttp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Stream answers with a body that is not ready yet, of which length bytes are
// announced. It breaks the connection if the body breaks off.
func Stream(w http.ResponseWriter, status, length int, body io.Reader) {
	if memory, inMemory := w.(*memoryWriter); inMemory {
		memory.wrote, memory.status, memory.later, memory.length = true, status, body, length
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(length))
	w.WriteHeader(status)
	controller, buffer := http.NewResponseController(w), make([]byte, 64<<10)
	for {
		n, err := body.Read(buffer)
		w.Write(buffer[:n])
		controller.Flush()
		if err == io.EOF {
			return
		}
		if err != nil {
			panic(http.ErrAbortHandler)
		}
	}
}

var errBroken = errors.New("connection broken by a fault")

// Broken is a body that breaks off behind data.
func Broken(data []byte) io.Reader {
	return io.MultiReader(bytes.NewReader(data), brokenReader{})
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errBroken }

// Drip is a body that comes in pieces of size bytes, with a delay before each but
// the first. It ends with the error of ctx.
func Drip(ctx context.Context, data []byte, size int, delay time.Duration) io.Reader {
	return &dripReader{ctx: ctx, rest: data, size: size, delay: delay}
}

type dripReader struct {
	ctx   context.Context
	rest  []byte
	size  int
	delay time.Duration
	ready int // bytes of the current piece that are left
	begun bool
}

// Read implements [io.Reader].
func (d *dripReader) Read(into []byte) (int, error) {
	if len(d.rest) == 0 {
		return 0, io.EOF
	}
	if d.ready == 0 {
		if d.begun {
			if err := Pause(d.ctx, d.delay); err != nil {
				return 0, err
			}
		}
		d.begun, d.ready = true, min(d.size, len(d.rest))
	}
	n := copy(into, d.rest[:d.ready])
	d.rest, d.ready = d.rest[n:], d.ready-n
	return n, nil
}
