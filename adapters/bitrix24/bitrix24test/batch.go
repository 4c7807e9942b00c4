package bitrix24test

import (
	"strconv"
	"strings"
	"time"
)

// maxCommands is how many commands of a batch run (F47).
const maxCommands = 50

var (
	errBatchLength  = &restError{400, "ERROR_BATCH_LENGTH_EXCEEDED", "Max batch length exceeded"}
	errBatchInBatch = &restError{405, "ERROR_BATCH_METHOD_NOT_ALLOWED", "Method is not allowed for batch usage"}
)

// section is a part of a batch's answer: a PHP array with command ids as keys.
type section struct {
	keys []string
	ends []int // where each value ends in data
	data []byte
}

func (s *section) add(key string) {
	s.keys, s.ends = append(s.keys, key), append(s.ends, len(s.data))
}

// value returns the JSON kept under key.
func (s *section) value(key string) ([]byte, bool) {
	for i, k := range s.keys {
		if k == key {
			return s.at(i), true
		}
	}
	return nil, false
}

func (s *section) at(i int) []byte {
	start := 0
	if i > 0 {
		start = s.ends[i-1]
	}
	return s.data[start:s.ends[i]]
}

// isList tells whether the keys are 0, 1, 2 and so on, which PHP writes as a JSON array (Q3).
func (s *section) isList() bool {
	for i, key := range s.keys {
		if key != strconv.Itoa(i) {
			return false
		}
	}
	return true
}

func (s *section) appendTo(dst []byte, escape bool) []byte {
	list := s.isList()
	open, end := byte('{'), byte('}')
	if list {
		open, end = '[', ']'
	}
	dst = append(dst, open)
	for i, key := range s.keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		if !list {
			dst = append(appendString(dst, key, escape), ':')
		}
		dst = append(dst, s.at(i)...)
	}
	return append(dst, end)
}

// batch is one run of the batch method.
type batch struct {
	request                             *request
	results, errors, totals, next, time section
	timings                             []timing
	spent                               time.Duration
}

// batch runs the commands one after the other and appends the whole body of the answer.
func (req *request) batch(dst []byte) ([]byte, *restError) {
	p := req.portal
	key := operatingKey{req.credential.key, "batch"}
	if p.quirks.BillBatch {
		if err := p.operating.admit(key, req.started); err != nil {
			return dst, err
		}
	}
	buffer := bufferPool.Get().(*[]byte)
	defer bufferPool.Put(buffer)
	b := &batch{request: req}
	b.results.data = (*buffer)[:0]
	defer func() { *buffer = b.results.data }()

	err := b.run()
	whole := timing{started: req.started, finished: time.Now()}
	if p.quirks.BillBatch {
		whole.operating, whole.resetAt = p.operating.book(key, whole.finished, b.spent)
	}
	if err != nil {
		return dst, err
	}
	for i, t := range b.timings {
		if p.quirks.BillBatch {
			t.operating, t.resetAt = whole.operating, whole.resetAt
		}
		b.time.data = p.appendTime(b.time.data, t)
		b.time.add(b.results.keys[i])
	}
	escape := p.quirks.EscapeJSON
	dst = b.results.appendTo(append(dst, `{"result":{"result":`...), escape)
	dst = b.errors.appendTo(append(dst, `,"result_error":`...), escape)
	dst = b.totals.appendTo(append(dst, `,"result_total":`...), escape)
	dst = b.next.appendTo(append(dst, `,"result_next":`...), escape)
	dst = b.time.appendTo(append(dst, `,"result_time":`...), escape)
	return p.appendTail(append(dst, '}'), page{}, whole), nil
}

// run executes the commands in the order of cmd. It returns an error if the whole request ends.
func (b *batch) run() *restError {
	commands := b.request.params.fold("cmd")
	halt := b.request.params.fold("halt").truthy()
	if !commands.isArray() {
		return nil
	}
	for i, id := range commands.keys {
		err := errBatchLength
		if i < maxCommands {
			err = b.command(id, commands.items[i].string())
		}
		switch err {
		case nil:
			continue
		case errCutOff, errGone:
			return err
		}
		b.errors.data = b.request.portal.appendError(b.errors.data, err)
		b.errors.add(id)
		if halt {
			return nil
		}
	}
	return nil
}

func (b *batch) command(id, text string) *restError {
	p := b.request.portal
	name, params := parseCommand(text)
	m := p.methods[name]
	p.stats.command(name, m != nil)
	err := b.allowed(name, m)
	fault := p.faults.take(name, true)
	if err == nil {
		err = fault.refusal()
	}
	if err != nil {
		p.stats.refused(name, m != nil)
		return err
	}
	c := &call{portal: p, request: b.request, params: b.resolve(params), repeatPage: fault.repeats(), unbilled: p.quirks.BillBatch}
	dst, extras, timing, err := c.run(b.results.data, name, m)
	b.spent += c.cost
	if err != nil {
		b.results.data = dst[:b.resultsEnd()]
		p.stats.refused(name, true)
		return err
	}
	b.results.data = dst
	b.results.add(id)
	b.timings = append(b.timings, timing)
	if extras.hasTotal {
		b.totals.data = strconv.AppendInt(b.totals.data, extras.total, 10)
		b.totals.add(id)
	}
	if extras.hasNext {
		b.next.data = strconv.AppendInt(b.next.data, extras.next, 10)
		b.next.add(id)
	}
	return nil
}

func (b *batch) resultsEnd() int {
	if n := len(b.results.ends); n > 0 {
		return b.results.ends[n-1]
	}
	return 0
}

func (b *batch) allowed(name string, m *method) *restError {
	switch {
	case m == nil:
		return errMethodNotFound
	case name == "batch":
		return errBatchInBatch
	}
	err := b.request.portal.allows(m, b.request.credential)
	if err != nil && err.code == "insufficient_scope" {
		return &restError{err.status, err.code, ""}
	}
	return err
}

// parseCommand reads a command: a URL path and a query string with PHP's rules.
func parseCommand(text string) (method string, params *node) {
	text, _, _ = strings.Cut(text, "#")
	path, query, _ := strings.Cut(text, "?")
	return strings.ToLower(strings.Trim(unescape(path), "/ ")), parseQuery(query)
}

const referenceStart = "$result["

// resolve replaces references to earlier results in all values (sheet 4.3).
func (b *batch) resolve(params *node) *node {
	if params.kind != arrayNode {
		if !strings.Contains(params.text, referenceStart) {
			return params
		}
		return b.resolveText(params.text)
	}
	for i, item := range params.items {
		params.items[i] = b.resolve(item)
	}
	return params
}

// resolveText replaces the references in a text. One that is all of the text keeps its type.
func (b *batch) resolveText(text string) *node {
	out := strings.Builder{}
	rest := text
	for {
		at := strings.Index(rest, referenceStart)
		if at < 0 {
			break
		}
		end := referenceEnd(rest[at:])
		if end == 0 {
			out.WriteString(rest[:at+len(referenceStart)])
			rest = rest[at+len(referenceStart):]
			continue
		}
		reference := rest[at : at+end]
		value, found := b.lookup(reference)
		if found && reference == text {
			return value
		}
		out.WriteString(rest[:at])
		switch {
		case !found:
			out.WriteString(reference)
		case value.isArray():
			out.WriteString("Array")
		default:
			out.WriteString(value.string())
		}
		rest = rest[at+end:]
	}
	out.WriteString(rest)
	return newText(out.String())
}

// referenceEnd returns the length of the reference at the start of text, or 0: it reaches to the
// last closing bracket before a space.
func referenceEnd(text string) int {
	if space := strings.IndexAny(text, " \t\r\n"); space >= 0 {
		text = text[:space]
	}
	return strings.LastIndexByte(text, ']') + 1
}

// lookup finds what a reference points to. If it points nowhere, the portal leaves the text as it
// is, or with PartialReferences takes the deepest value that it could reach (F51).
func (b *batch) lookup(reference string) (*node, bool) {
	path := strings.Split(strings.TrimSuffix(strings.TrimPrefix(reference, referenceStart), "]"), "][")
	raw, found := b.results.value(path[0])
	if !found {
		return nil, false
	}
	raw, steps := follow(raw, path[1:])
	if steps < len(path)-1 && !b.request.portal.quirks.PartialReferences {
		return nil, false
	}
	value := parseJSON(raw)
	return value, value != nil
}
