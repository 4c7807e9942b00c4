package bitrix24

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/rawjson"
)

const (
	// firstWrites is how many writes the first batch of a series has: until their
	// time is known, more might not end before the portal cuts the batch off, and
	// mass creation is known to end in a 500 (sheet Q30).
	firstWrites = 10
	// commandBytes bounds the commands of one batch (sheet 3.3: bodies below 1 MB).
	commandBytes = 900 << 10
	// commandVariables bounds one command: PHP drops what is beyond max_input_vars,
	// which is 1,000 by default.
	commandVariables = 900
)

// command is one method call, to be sent by itself or within a batch.
type command struct {
	method     string
	params     map[string]any
	writes     bool
	repeatable bool // calling it twice does no more than once
}

// run carries out the commands and returns an answer for each, in their order. One
// is sent by itself, several by batches of halt=0. No batch with a write is sent
// twice (sheet 2.6, 4.2). After a request that failed as a whole no other is sent,
// and the rest is reported as not run.
func run(ctx context.Context, c *enlace.Conn, commands []command) []answer {
	answers := make([]answer, len(commands))
	batched, single := batchable(commands)
	var failed error
	for width := writesAtOnce(c, commands); len(batched) > 0; {
		chunk := nextChunk(commands, batched, width)
		batched = batched[len(chunk):]
		part := make([]answer, len(chunk))
		if failed == nil {
			part, failed = sendBatch(ctx, c, commands, chunk)
			width = nextWidth(c, commands[chunk[0].command].method, part)
		} else {
			fail(part, notRun(failed))
		}
		for k, line := range chunk {
			answers[line.command] = part[k]
		}
	}
	for _, i := range single {
		if failed != nil {
			answers[i] = answer{err: notRun(failed)}
			continue
		}
		if answers[i] = send(ctx, c, commands[i]); stops(answers[i].err) {
			failed = answers[i].err
		}
	}
	return answers
}

func fail(answers []answer, err error) {
	for i := range answers {
		answers[i] = answer{err: err}
	}
}

// stops says whether what became of one request tells that the next would do no
// better.
func stops(err error) bool {
	e, ok := errors.AsType[*enlace.Error](err)
	if !ok || e.Partial {
		return false
	}
	return slices.ContainsFunc([]error{enlace.ErrCanceled, enlace.ErrAuth, enlace.ErrMoved, enlace.ErrBlocked,
		enlace.ErrRateLimited, enlace.ErrUnavailable, enlace.ErrProtocol}, func(kind error) bool { return errors.Is(e.Kind, kind) })
}

// line is a command as a batch carries it.
type line struct {
	command int // its place
	text    string
}

// batchable parts the commands that a batch can carry from those that need a request
// of their own.
func batchable(commands []command) (batched []line, single []int) {
	for i, cmd := range commands {
		if text, ok := cmd.line(); ok && len(commands) > 1 {
			batched = append(batched, line{i, text})
		} else {
			single = append(single, i)
		}
	}
	return batched, single
}

// nextChunk takes as many of the commands as one batch may have.
func nextChunk(commands []command, left []line, width int) []line {
	n, size := 0, 0
	for n < len(left) && n < batchSize {
		size += len(left[n].text)
		if n > 0 && (size > commandBytes || n >= width && commands[left[n].command].writes) {
			break
		}
		n++
	}
	return left[:n]
}

// writesAtOnce is how many writes the first batch of a series may have: a few, unless
// it is known how long they take.
func writesAtOnce(c *enlace.Conn, commands []command) int {
	width := batchSize
	for _, cmd := range commands {
		switch each := c.Budget(cmd.method).Noted(); {
		case !cmd.writes:
		case each == 0:
			return firstWrites
		default:
			width = min(width, widthOf(each))
		}
	}
	return width
}

func widthOf(each time.Duration) int { return int(min(max(batchTime/max(each, 1), 1), batchSize)) }

// nextWidth is how many writes the next batch may have, by the time that those
// before it took. A batch that the portal did not time says nothing.
func nextWidth(c *enlace.Conn, method string, answers []answer) int {
	var spent time.Duration
	for _, a := range answers {
		spent += a.timing.duration
	}
	each := spent / time.Duration(len(answers))
	if each > 0 {
		c.Budget(method).Note(each)
	}
	return widthOf(each)
}

// sendBatch carries out the commands of a chunk by one request. Its run time counts
// for the methods of its commands, and for batch itself where the portal does it
// that way (sheet 3.2). The error is for a batch that failed as a whole; every
// answer has it then.
func sendBatch(ctx context.Context, c *enlace.Conn, commands []command, chunk []line) (answers []answer, err error) {
	answers = make([]answer, len(chunk))
	defer func() {
		if err != nil {
			fail(answers, err)
		}
	}()
	methods, writes := []string{"batch"}, false
	cmd, sent := make(map[string]string, len(chunk)), make([]command, len(chunk))
	for i, line := range chunk {
		// The names sort in the order of the commands, which is kept that way in the body.
		cmd[fmt.Sprintf("p%02d", i)] = line.text
		sent[i] = commands[line.command]
		methods = append(methods, sent[i].method)
		writes = writes || sent[i].writes
	}
	slices.Sort(methods)
	release, err := reserve(ctx, c, slices.Compact(methods), leastCost)
	if err != nil {
		return answers, err
	}
	params := map[string]any{"halt": 0, "cmd": cmd}
	if mark, marked := sent[0].params["auth_connector"]; marked {
		params["auth_connector"] = mark // which of the two places counts is not documented (sheet 6.6)
	}
	request := call("batch", params)
	request.Idempotent = !writes
	var body json.RawMessage
	if err := c.Do(ctx, request, &body); err != nil {
		release(nil)
		reportBlocked(c, "batch", err)
		return answers, err
	}
	outer, err := scanCommands(body, sent, answers)
	if err != nil {
		release(nil)
		return answers, err
	}
	release(timings(sent, answers, outer))
	for i, a := range answers {
		reportBlocked(c, sent[i].method, a.err)
	}
	return answers, nil
}

// timings sums up the portal's account by method.
func timings(commands []command, answers []answer, outer timing) map[string]timing {
	outer.duration = 0 // it is that of the commands
	used := map[string]timing{"batch": outer}
	for i, a := range answers {
		sum := used[commands[i].method]
		sum.duration += a.timing.duration
		if a.timing.operating >= sum.operating {
			sum.operating, sum.resetAt = a.timing.operating, a.timing.resetAt
		}
		used[commands[i].method] = sum
	}
	return used
}

// scanCommands fills in the answers from the body of a batch (sheet 4.2). A command
// that the answer does not mention may have run.
func scanCommands(body []byte, commands []command, answers []answer) (outer timing, err error) {
	for i, cmd := range commands {
		answers[i] = answer{err: noAnswer(cmd.method)}
	}
	found := false
	s := rawjson.NewScanner(body)
	for key := range s.Object() {
		switch string(key) {
		case "time":
			outer = scanTiming(s)
		case "result":
			if s.Kind() != rawjson.KindObject {
				continue
			}
			found = true
			scanSections(s, commands, answers)
		}
	}
	if s.End() != nil || !found {
		return outer, noAnswer("batch")
	}
	return outer, nil
}

func scanSections(s *rawjson.Scanner, commands []command, answers []answer) {
	for section := range s.Object() {
		name := string(section)
		forEachCommand(s, len(commands), func(i int) {
			switch name {
			case "result":
				answers[i].result, answers[i].err = s.Value(), nil
			case "result_error":
				answers[i].err = commandError(commands[i].method, scanCommandError(s))
			case "result_time":
				answers[i].timing = scanTiming(s)
			}
		})
	}
}

func commandError(method string, err error) error {
	if e, ok := errors.AsType[*enlace.Error](err); ok {
		e.Provider, e.Op = Name, method
	}
	return err
}

// line spells a command for a batch: its method and its parameters in PHP's bracket
// notation (sheet 4.1). It is false for what a batch cannot carry: null and empty
// lists, which the notation has no words for, and text that the portal would take
// for a reference to another command.
func (cmd command) line() (string, bool) {
	data, err := json.Marshal(cmd.params)
	if err != nil {
		return "", false
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var params map[string]any
	if err := decoder.Decode(&params); err != nil {
		return "", false
	}
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if !appendPairs(&pairs, name, params[name]) {
			return "", false
		}
	}
	return cmd.method + "?" + strings.Join(pairs, "&"), len(pairs) <= commandVariables
}

func appendPairs(pairs *[]string, name string, value any) bool {
	put := func(text string) bool {
		*pairs = append(*pairs, url.QueryEscape(name)+"="+url.QueryEscape(text))
		return !strings.Contains(text, "$result") && !strings.Contains(name, "$result")
	}
	switch value := value.(type) {
	case string:
		return put(value)
	case json.Number:
		return put(value.String())
	case bool:
		if value {
			return put("1")
		}
		return put("0")
	case []any:
		for i, item := range value {
			if !appendPairs(pairs, name+"["+strconv.Itoa(i)+"]", item) {
				return false
			}
		}
		return len(value) > 0
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			if strings.ContainsAny(key, "[]") || !appendPairs(pairs, name+"["+key+"]", value[key]) {
				return false
			}
		}
		return len(value) > 0
	default: // null
		return false
	}
}
