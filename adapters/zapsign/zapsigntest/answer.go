package zapsigntest

import (
	"bytes"
	"encoding/json"
	"net/http"
)

// answer is what a handler answers, so that faults can spoil it on its way.
type answer struct {
	status      int
	contentType string
	body        []byte
	header      map[string]string
}

const (
	typeJSON = "application/json"
	typeText = "text/plain; charset=utf-8"
	typeHTML = "text/html; charset=utf-8"
	typePDF  = "application/pdf"
	typeXML  = "application/xml"
)

func jsonAnswer(status int, value any) answer {
	return answer{status: status, contentType: typeJSON, body: marshal(value)}
}

func ok(value any) answer { return jsonAnswer(http.StatusOK, value) }

func text(status int, body string) answer {
	return answer{status: status, contentType: typeText, body: []byte(body)}
}

func html(status int, title string) answer {
	page := "\n<!doctype html>\n<html lang=\"en\">\n<head>\n  <title>" + title + "</title>\n</head>\n<body>\n  <h1>" + title + "</h1><p></p>\n</body>\n</html>\n"
	return answer{status: status, contentType: typeHTML, body: []byte(page)}
}

// The shapes of errors (sheet 4.2).

func detail(status int, body string) answer {
	return jsonAnswer(status, map[string]string{"detail": body})
}

func message(status int, body string) answer {
	return jsonAnswer(status, map[string]string{"message": body})
}

func errorBody(status int, body string) answer {
	return jsonAnswer(status, map[string]string{"error": body})
}

func coded(status int, code, body string) answer {
	return jsonAnswer(status, struct {
		Success   bool   `json:"success"`
		ErrorCode string `json:"error_code"`
		Message   string `json:"message"`
	}{false, code, body})
}

// refused is the answer to a request that breaks a rule whose error body is not documented (U11).
func refused(body string) *answer {
	a := message(http.StatusBadRequest, body)
	return &a
}

func notFound() answer { return detail(http.StatusNotFound, "Não encontrado.") }

func noSuchPage() answer { return html(http.StatusNotFound, "Not Found") }

func serverError() answer { return html(http.StatusInternalServerError, "Server Error (500)") }

// marshal renders JSON without escaping what is only special in HTML.
func marshal(value any) []byte {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic("zapsigntest: an answer that is no JSON: " + err.Error())
	}
	return bytes.TrimSuffix(buffer.Bytes(), []byte("\n"))
}

// pythonJSON spaces compact JSON as Python does by default, and escapes all but ASCII (sheet 5.3).
func pythonJSON(compact []byte) []byte {
	spaced := make([]byte, 0, len(compact)+len(compact)/8)
	inString := false
	for i := 0; i < len(compact); i++ {
		c := compact[i]
		switch {
		case inString && c == '\\':
			spaced = append(spaced, c, compact[i+1])
			i++
			continue
		case c == '"':
			inString = !inString
		case inString && c >= 0x80:
			end := i
			for end < len(compact) && compact[end] >= 0x80 {
				end++
			}
			spaced = appendEscaped(spaced, string(compact[i:end]))
			i = end - 1
			continue
		}
		spaced = append(spaced, c)
		if !inString && (c == ',' || c == ':') {
			spaced = append(spaced, ' ')
		}
	}
	return spaced
}

func (w answer) writeTo(rw http.ResponseWriter) {
	w.head(rw)
	rw.WriteHeader(w.status)
	rw.Write(w.body)
}

func (w answer) head(rw http.ResponseWriter) {
	if w.contentType != "" {
		rw.Header().Set("Content-Type", w.contentType)
	}
	for name, value := range w.header {
		rw.Header().Set(name, value)
	}
}
