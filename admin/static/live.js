// The shared worker that holds the one stream of all tabs.
'use strict'
const ports = new Set(), names = new Set()
let address = '', source = null, isOpen = false, number = ''

function tell(message) {
  for (const port of ports) port.postMessage(message)
}

function setOpen(now) {
  isOpen = now
  tell({ open: now })
}

// note remembers the number of the last change, for tabs that come later.
function note(event) {
  if (event.lastEventId) number = event.lastEventId
}

function open() {
  source = new EventSource(address)
  for (const name of names) listen(name)
  source.onopen = () => setOpen(true)
  source.onerror = () => {
    setOpen(false)
    if (source?.readyState === 2) { // the server has refused it; the browser gives up, we ask again
      source = null
      setTimeout(() => { if (ports.size && !source) open() }, 10000)
    }
  }
}

function listen(name) {
  source.addEventListener(name, event => {
    note(event)
    tell({ name, data: event.data, number: event.lastEventId })
  })
}

onconnect = ({ ports: [port] }) => {
  ports.add(port)
  port.onmessage = ({ data }) => {
    if (data.open) {
      address = data.open
      if (!source) open()
      else if (isOpen) {
        port.postMessage({ open: true })
        port.postMessage({ name: 'hello', data: '', number })
      }
    } else if (data.listen && !names.has(data.listen)) {
      names.add(data.listen)
      if (source) listen(data.listen)
    } else if (data.close) {
      ports.delete(port)
      if (!ports.size && source) {
        source.close()
        source = null
      }
    }
  }
}
