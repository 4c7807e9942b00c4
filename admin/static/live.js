// The shared worker that holds the one stream of all tabs.
'use strict'
const ports = new Set(), names = new Set()
let address = '', source = null, state = 0

function tell(message) {
  for (const port of ports) port.postMessage(message)
}

function setState(now) {
  state = now
  tell({ state })
}

function open() {
  source = new EventSource(address)
  for (const name of names) listen(name)
  source.onopen = () => setState(1)
  source.onerror = () => {
    setState(0)
    if (source?.readyState === 2) { // the server has refused it; the browser gives up, we ask again
      source = null
      setTimeout(() => { if (ports.size && !source) open() }, 10000)
    }
  }
}

function listen(name) {
  source.addEventListener(name, event => tell({ name, data: event.data }))
}

onconnect = ({ ports: [port] }) => {
  ports.add(port)
  port.onmessage = ({ data }) => {
    if (data.open) {
      address = data.open
      if (!source) open()
      else port.postMessage({ state })
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
